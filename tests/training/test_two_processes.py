"""Two processes of torchrun, on one machine or two, train as one does. They are started for several tests at once."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import two_processes
from free_ports import free_port
from small_norms import example, normed
from span_inputs import with_word_spans
from trainers import ENVIRONMENT, assert_same, run_alone, steps, trainer

from medcode.engine import torchrun
from medcode.errors import UserError
from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.training.checkpoint import Checkpoints, checkpoint_of_all

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
    give(folder, inputs, trainings)
    start(folder)
    return folder


def start(folder: Path, *arguments: str, nodes: int = 1) -> None:
    """Start two processes on one machine, or one on each of two, which are this one twice."""
    engine = SimpleNamespace(nodes=nodes, processes=2 // nodes)
    meeting = {torchrun.ADDRESS: "localhost", "PET_MASTER_PORT": str(free_port())}
    started = []
    for rank in range(nodes):
        environment = ENVIRONMENT | (meeting | {torchrun.RANK: str(rank)} if nodes > 1 else {})
        command = torchrun.command(engine, [two_processes.__file__, str(folder), *arguments], environment)
        started.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=300) for process in started] == [0] * nodes


def give(folder: Path, *given) -> None:
    """Write what the processes are to do."""
    folder.mkdir(exist_ok=True)
    (folder / "given").write_bytes(pickle.dumps(given))


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


def test_two_machines_train_as_two_processes_of_one(inputs, trainings, folder_of_two, tmp_path):
    give(tmp_path, inputs, {"caml": trainings["caml"]})
    start(tmp_path, nodes=2)
    expected = torch.load(folder_of_two / "caml/weights.pt")
    assert_same(torch.load(tmp_path / "caml/weights.pt"), expected)


def test_a_training_goes_on_with_another_number_of_processes(inputs, trainings, folder_of_two, tmp_path):
    """From two machines to one process, and from one process to two machines."""
    given = {"caml": trainings["caml"]}
    give(tmp_path / "two first", inputs, given)
    start(tmp_path / "two first", "5", nodes=2)
    name, recipe, engine = trainings["caml"]
    alone = trainer(inputs, recipe, engine, tmp_path / "two first/caml/two", name)
    resumed = []
    alone.on_resume = lambda state, folder: resumed.append(state.global_step)
    run_alone(alone)

    give(tmp_path / "one first", inputs, given)
    left = trainer(inputs, recipe, engine, tmp_path / "one first/caml/two", name)
    for _ in islice(steps(left), 5):
        pass
    left.save()
    start(tmp_path / "one first", nodes=2)

    expected = torch.load(folder_of_two / "caml/weights.pt")
    together = torch.load(tmp_path / "one first/caml/weights.pt")
    for weights in (alone.model.state_dict(), together):
        for key, value in expected.items():
            torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert resumed == [5]


def test_a_training_that_has_ended_begins_anew_with_another_number_of_processes(
    inputs, trainings, folder_of_two, tmp_path
):
    name, recipe, engine = trainings["caml"]
    shutil.copytree(folder_of_two / "caml/two", tmp_path / "two")
    again = trainer(inputs, recipe, engine, tmp_path / "two", name)
    again.restore()
    assert again.state.epoch == 0 and not again.done


@pytest.mark.parametrize("seen", [["training", 5], ["another", None]])
def test_a_machine_that_sees_other_files_is_told(tmp_path, seen):
    of_the_first = SimpleNamespace(size=2, broadcast=lambda value: seen)
    with pytest.raises(UserError, match="this machine does not see the data, the code or the checkpoint that the fir"):
        checkpoint_of_all(Checkpoints(tmp_path / "training"), of_the_first)
