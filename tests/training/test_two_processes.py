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
from trainers import ENVIRONMENT, run_alone, trainer

from medcode.layers.batch_norm import MaskedBatchNorm

pytestmark = pytest.mark.slow

# Epochs, and batches of an epoch (0: all). Rounding grows through batch norms, of which MT-RAM has ten, one behind the
# other.
LENGTHS = {"caml": (4, 0), "multirescnn": (1, 0), "mt_ram": (1, 2)}


@pytest.fixture(scope="module")
def trainings(recipe, engine):
    """Recipe and engine of each model."""
    return {
        name: (recipe.model_copy(update={"epochs": epochs}), engine.model_copy(update={"limit_batches": limit}))
        for name, (epochs, limit) in LENGTHS.items()
    }


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory, tiny_inputs, trainings) -> Path:
    """The folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "given").write_bytes(pickle.dumps((tiny_inputs, trainings)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*torchrun, two_processes.__file__, str(folder)], check=True, env=ENVIRONMENT)
    return folder


@pytest.mark.parametrize("name", LENGTHS)
def test_two_torchrun_processes_train_as_one(tiny_inputs, trainings, folder_of_two, tmp_path, name):
    running = trainer(tiny_inputs, *trainings[name], tmp_path, name)
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
