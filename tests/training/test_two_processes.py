"""Two processes of torchrun train as one does. They are started once for all tests, because starting is slow."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
from small_norms import example, normed
from span_inputs import with_word_spans
from trainers import ENVIRONMENT, run_alone, trainer

from medcode.layers.batch_norm import MaskedBatchNorm

pytestmark = pytest.mark.slow

# Epochs, and batches of an epoch (0: all). Rounding grows through batch norms, of which MT-RAM has ten, one behind the
# other.
LENGTHS = {"caml": (4, 0), "multirescnn": (1, 0), "mt_ram": (1, 2)}
WITH_SPANS = "caml with spans"


@pytest.fixture(scope="module")
def trainings(recipe, engine):
    """Model, recipe and engine of each training."""
    changed = {
        name: (name, recipe.model_copy(update={"epochs": epochs}), engine.model_copy(update={"limit_batches": limit}))
        for name, (epochs, limit) in LENGTHS.items()
    }
    # Micro-batches of three documents: the shares of a batch of four have pairs in different numbers.
    of_three = engine.model_copy(update={"micro_batch": 3})
    return changed | {WITH_SPANS: ("caml", recipe.model_copy(update={"span_weight": 0.5}), of_three)}


@pytest.fixture(scope="module")
def inputs(tiny_inputs):
    """The tiny inputs with spans, which are read by one training alone."""
    return with_word_spans(tiny_inputs, 50)


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory, inputs, trainings) -> Path:
    """The folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "given").write_bytes(pickle.dumps((inputs, trainings)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*torchrun, two_processes.__file__, str(folder)], check=True, env=ENVIRONMENT)
    return folder


@pytest.mark.parametrize("name", [*LENGTHS, WITH_SPANS])
def test_two_torchrun_processes_train_as_one(inputs, trainings, folder_of_two, tmp_path, name):
    model, recipe, engine = trainings[name]
    running = trainer(inputs, recipe, engine, tmp_path, model)
    initial = {key: weights.clone() for key, weights in running.model.state_dict().items()}
    run_alone(running)
    shared = torch.load(folder_of_two / name / "weights.pt")
    assert shared.keys() == initial.keys()
    for key, expected in running.model.state_dict().items():
        torch.testing.assert_close(shared[key], expected, rtol=1e-3, atol=1e-4, msg=key)
    assert any((shared[key].float() - weights.float()).abs().max() > 0.01 for key, weights in initial.items())


def test_two_processes_normalize_as_one(folder_of_two):
    x, mask = example()
    x.requires_grad_()
    layer = normed(MaskedBatchNorm)
    layer(x, mask).sin().sum().backward()
    shares = [torch.load(folder_of_two / f"{rank}.pt") for rank in range(2)]
    torch.testing.assert_close(torch.cat([share["gradient"] for share in shares]), x.grad, rtol=1e-4, atol=1e-5)
    for share in shares:
        torch.testing.assert_close(share["variance"], layer.running_var)
