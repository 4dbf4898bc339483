"""Plain twins of the models, against which training steps are measured, compute the same functions."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from small_models import SMALL

from medcode import models

# Models on subwords, on two label systems, without steps, with two passes in a step (MSMN), and reconstructions, which
# have no code to be as fast as.
NOT_COMPARED = {
    "attentive_lstm", "bert_hier", "bert_trun", "c_memnn", "dlac", "gki_icd", "hypercore", "jams", "linear", "msatt_kg",
    "msmn",
    "plm_ca", "plm_icd", "sentence_cls",
}  # fmt: skip


@pytest.fixture(scope="module")
def cpu_steps(root):
    """The benchmark, which imports the files beside it."""
    folders, before = [str(root / "benchmarks"), str(root / "stages")], set(sys.modules)
    sys.path[:0] = folders
    yield importlib.import_module("cpu_steps")
    for folder in folders:
        sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if name in ("common", "cpu_steps", "rows", "train", "twin_layers", "twin_step", "twins"):
            del sys.modules[name]


@pytest.fixture
def small(cpu_steps, root, monkeypatch):
    """Make rows of the table at sizes that take a fraction of a second."""
    monkeypatch.chdir(root)
    train = sys.modules["train"]
    monkeypatch.setattr(train, "ROWS", 60)
    monkeypatch.setattr(train, "VECTOR", 12)

    def row(name, *arguments, lengths="padded"):
        sizes = ["--labels", "5", "--batch", "3", "--words", "16", "--rounds", "1"]
        changes = tuple(SMALL.get(name, {}).items())
        return cpu_steps.Row(name, lengths, cpu_steps.parse([name, *sizes, *arguments]), changes)

    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    yield row
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)


def test_the_table_has_a_row_for_every_model_on_words(cpu_steps):
    rows = cpu_steps.table_rows(cpu_steps.parse(["--lengths", "equal"]))
    assert [row.model for row in rows] == [name for name in sorted(models.names()) if name not in NOT_COMPARED]


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("name", [name for name in models.names() if name not in NOT_COMPARED])
def test_a_row_is_measured(cpu_steps, small, name, released):
    cells = cpu_steps.measure(small(name, *(["--released"] if released else [])))
    assert len(cells) == len(cpu_steps.COLUMNS)
    assert cells[0] == name


@pytest.mark.parametrize("lengths", ["equal", "padded"])
@pytest.mark.parametrize("name", [name for name in models.names() if name not in NOT_COMPARED])
def test_a_step_of_the_twin_is_a_step_of_the_model(cpu_steps, small, name, lengths):
    trainer, step = cpu_steps.make_pair(small(name, "--released", lengths=lengths))
    model, twin = trainer.model, step.twin
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert ours.requires_grad == theirs.requires_grad
        theirs.data.copy_(ours.data)
    for module in (*model.modules(), *twin.modules()):
        if hasattr(module, "p"):
            module.p = 0.0
    (batch,) = trainer.batches[:1]
    loss = step(*cpu_steps.twin_batch(trainer, 0))
    losses = trainer.stepper.update(torch.from_numpy(batch.documents), batch.length)
    assert losses[0].item() == pytest.approx(loss, rel=1e-5)
    for (key, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6, msg=key)
