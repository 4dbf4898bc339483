"""CUDA graphs: a training has the same result whether its steps are eager or replayed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gpu import needs_gpu
from recorder import OperationRecorder
from scipy import sparse
from small_models import HEADS, ROWS, build
from trainers import run_alone, steps

from medcode import models
from medcode.dataset.arrays import Inputs, Split, Targets
from medcode.engine import cuda_graphs
from medcode.layers import kernels
from medcode.training import optimizer
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer

DOCUMENTS, EPOCHS = 14, 3
# Models whose steps wait for the device, and why: their steps are eager.
WAITING = {
    "attentive_lstm": "reads each distinct word of a batch once, and phrases by the longest",
    "bert_hier": "the chunks of all documents are packed into one run, whose length depends on theirs",
    "bert_trun": "likewise",
    "plm_ca": "likewise",
    "dlac": "likewise",
    "plm_icd": "likewise",
    "sentence_cls": "likewise",
    "gki_icd": "likewise, and guidelines are written on the host",
    "dr_caml": "reads the descriptions of those codes only that the batch has",
}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Random documents, one of them empty, with random labels of two heads."""
    random = np.random.default_rng(4)
    lengths = np.append(random.integers(1, 25, DOCUMENTS - 1), 0)
    ends = np.cumsum(lengths)
    gold = {
        head: sparse.csr_matrix((random.random((DOCUMENTS, size)) < 0.4).astype(np.uint8))
        for head, size in HEADS.items()
    }
    split = Split(
        documents=[str(number) for number in range(DOCUMENTS)],
        offsets=np.stack([ends - lengths, ends], axis=1),
        targets={head: Targets(gold[head], random.random(DOCUMENTS) < 0.8) for head in HEADS},
        spans={head: spans_of(gold[head], lengths) for head in HEADS},
    )
    tokens = random.integers(1, ROWS, int(ends[-1]), dtype=np.int32)
    labels = {head: [{"train_documents": 1}] * targets.matrix.shape[1] for head, targets in split.targets.items()}
    return Inputs(tokens, [], np.empty(0), labels, "caml", {"train": split, "dev": split})


def spans_of(gold: sparse.csr_matrix, lengths: np.ndarray) -> np.ndarray:
    """Return the first two tokens and the last one of each document as spans of each of its labels."""
    rows = [
        (document, label, first, behind)
        for document, label in zip(*gold.nonzero(), strict=True)
        for first, behind in ((0, min(2, lengths[document])), (lengths[document] - 1, lengths[document]))
        if lengths[document]
    ]
    return np.array(rows, dtype=np.int64)


@pytest.fixture
def make(inputs, recipe, engine, tmp_path):
    """Make the trainer of a model."""

    def trainer(name, folder, **changes):
        changes = {"epochs": EPOCHS, "dropout": 0.1, "clip_norm": 0.5, "monitor": "loss"} | changes
        model = build(name, dropout=0.1)
        changed_recipe = recipe.model_copy(update={"loss_weights": None} | changes)
        settings = engine.model_copy(update={"padding": 0.3, "checkpoint_steps": 1000})
        made = Trainer(model, inputs, changed_recipe, settings, 1, Checkpoints(tmp_path / folder))
        made.stepper.graphed = True  # as on a GPU: a CPU's GRU may else ask for lengths, which no recorded step can
        return made

    return trainer


def record(trainer) -> OperationRecorder:
    """Make a trainer record its steps, as `training.cuda_graphs` does on a GPU."""
    step = trainer.stepper

    def changed():
        return [*step.model.state_dict().values(), *step.model.parameters(), *state_of(step.optimizer)]

    optimizer.put_lr_on_device(step.optimizer)
    recorder = OperationRecorder(changed)
    step.run = cuda_graphs.GraphedStep(step.update, recorder, step.random)
    return recorder


def state_of(optimizer):
    states = optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("name", [name for name in models.names() if not models.find(name).Config.fits_at_once])
def test_recorded_steps_give_the_same_training(make, name, capsys):
    eager, replayed = make(name, "eager", learning_rate=0.002), make(name, "replayed", learning_rate=0.002)
    optimizer.put_lr_on_device(eager.stepper.optimizer)
    recorder = record(replayed)
    expected, result = run_alone(eager), run_alone(replayed)
    note = "note: training steps run without CUDA graphs, they cannot be recorded: "
    if name in WAITING:
        assert recorder.recorded == 0
        assert capsys.readouterr().err.count(note) == 1
    else:
        assert note not in capsys.readouterr().err
        shapes = {
            (len(batch.documents), batch.length) for epoch in range(EPOCHS) for batch in eager.epoch_batches(epoch)
        }
        assert len({length for _, length in shapes}) > 1
        assert recorder.recorded == len(shapes)
        assert recorder.replayed == replayed.state.global_step - len(shapes)
    assert [row["train_loss"] for row in result.history] == [row["train_loss"] for row in expected.history]
    for key, weights in eager.model.state_dict().items():
        assert torch.equal(replayed.model.state_dict()[key], weights), key


@pytest.mark.parametrize("name", ["caml", "fusion", "jams", "laat"])
def test_recorded_steps_learn_from_the_spans_of_their_own_batch(make, name, capsys):
    eager, replayed = (make(name, folder, learning_rate=0.002, span_weight=0.5) for folder in ("eager", "replayed"))
    optimizer.put_lr_on_device(eager.stepper.optimizer)
    recorder = record(replayed)
    expected, result = run_alone(eager), run_alone(replayed)
    assert recorder.replayed > 0 and "note: " not in capsys.readouterr().err
    assert result.history == expected.history and result.history[0]["train_span_loss"] > 0
    for key, weights in eager.model.state_dict().items():
        assert torch.equal(replayed.model.state_dict()[key], weights), key


def test_replayed_steps_use_the_current_learning_rate(make):
    falling = {"schedule": "linear", "warmup_steps": 4}
    eager, replayed = make("cnn", "eager", **falling), make("cnn", "replayed", **falling)
    optimizer.put_lr_on_device(eager.stepper.optimizer)
    record(replayed)
    assert run_alone(replayed).history == run_alone(eager).history


def test_a_recorded_training_resumes_from_its_checkpoint(make, inputs):
    expected = make("caml", "undisturbed")
    record(expected)
    result = run_alone(expected)
    stopped = make("caml", "stopped")
    record(stopped)
    for _ in steps(stopped):
        if len(stopped.state.history) == 2:
            break
    resumed = make("caml", "stopped")
    record(resumed)
    resumed.restore()
    assert all(isinstance(group["lr"], torch.Tensor) for group in resumed.stepper.optimizer.param_groups)
    assert run_alone(resumed) == result


def test_steps_that_cannot_be_recorded_are_eager_with_one_note(capsys):
    calls = []

    def update(documents, length):
        calls.append((documents.tolist(), length))
        return torch.zeros(1)

    def refuse(work):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    steps = cuda_graphs.GraphedStep(
        update, SimpleNamespace(record=refuse), SimpleNamespace(renew=lambda: calls.append(None))
    )
    batches = [(torch.tensor([number]), length) for number, length in enumerate([16, 32, 16, 16, 32, 48])]
    for batch in batches:
        steps(*batch)
    assert calls.pop(2) is None, "the random numbers go on in a stream that was not being recorded"
    assert calls == [(documents.tolist(), length) for documents, length in batches]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("without CUDA graphs, they cannot be recorded: operation not permitted")


def test_the_recorder_detects_numbers_from_the_host():
    """Otherwise a step could pass whose graph would repeat an old number."""
    scale, x = [2.0], torch.ones(3)
    recorder = OperationRecorder(lambda: [])
    replay, result = recorder.record(lambda: x * scale[0])
    scale[0] = 5.0
    x.fill_(10.0)
    replay()
    assert result.tolist() == [20.0] * 3
    with pytest.raises(RuntimeError, match="waits for the device"):
        recorder.record(lambda: x * x.sum().item())
    with pytest.raises(RuntimeError, match="waits for the device"):
        recorder.record(lambda: x[x > 0])


@needs_gpu
@pytest.mark.parametrize("mode", ["plain", "fused"])
@pytest.mark.parametrize("name", [name for name in models.names() if name not in WAITING])
def test_on_a_gpu_cuda_graphs_give_the_same_training(make, inputs, name, mode, monkeypatch, capsys):
    monkeypatch.setattr(kernels, "_mode", mode)
    results = {}
    for graphs in (False, True):
        trainer = make(name, str(graphs), learning_rate=0.002)
        settings = trainer.engine.model_copy(update={"cuda_graphs": graphs, "device": "cuda"})
        graph_trainer = Trainer(trainer.model.cuda(), inputs, trainer.recipe, settings, 1, trainer.checkpoints)
        results[graphs] = (
            run_alone(graph_trainer).history,
            {part: value.cpu() for part, value in graph_trainer.model.state_dict().items()},
        )
    assert "without CUDA graphs" not in capsys.readouterr().err
    (expected, weights), (history, replayed) = results[False], results[True]
    assert [row["train_loss"] for row in history] == pytest.approx([row["train_loss"] for row in expected], rel=1e-4)
    for part, value in weights.items():
        torch.testing.assert_close(replayed[part], value, rtol=1e-3, atol=1e-4, msg=part)


@needs_gpu
@pytest.mark.parametrize("name", WAITING)
def test_on_a_gpu_steps_that_synchronize_are_eager(make, inputs, name, capsys):
    curves = []
    for graphs in (False, True):
        trainer = make(name, str(graphs), learning_rate=0.002)
        settings = trainer.engine.model_copy(update={"cuda_graphs": graphs, "device": "cuda"})
        model = trainer.model.cuda()
        running = Trainer(model, inputs, trainer.recipe, settings, 1, trainer.checkpoints)
        curves.append([row["train_loss"] for row in run_alone(running).history])
        assert capsys.readouterr().err.count("without CUDA graphs") == graphs
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
