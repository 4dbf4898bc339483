"""The training loop learns, keeps the best epoch, and shares batches among processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plain_encoder
import pytest
import torch
from gpu import needs_gpu
from trainers import assert_same, build, run_alone, train, trainer

from medcode import models
from medcode.config import configure
from medcode.dataset.arrays import Targets
from medcode.engine import distributed
from medcode.engine.transfer import AsyncHostCopy, to_device
from medcode.errors import UserError
from medcode.evaluation.monitor import dev_metrics
from medcode.models.inputs import ModelInputs
from medcode.training import train_step, validation
from medcode.training.checkpoint import Checkpoints
from medcode.training.trainer import Trainer


def test_training_learns_and_keeps_the_best_epoch(tiny_inputs, recipe, engine, tmp_path):
    recipe = recipe.model_copy(update={"epochs": 25})
    result, _ = train(tiny_inputs, recipe, engine, tmp_path)
    f1 = [row["f1_micro"] for row in result.history]
    assert max(f1) > f1[0] + 0.2
    assert result.history[-1]["train_loss"] < 0.3 * result.history[0]["train_loss"]
    assert result.best_epoch == int(np.argmax(f1)) + 1
    assert result.stopped == "last epoch"


def test_the_returned_weights_are_from_the_best_epoch(tiny_inputs, recipe, engine, tmp_path):
    # A learning rate that ruins the model later on: the last epoch is not the best.
    ruinous = recipe.model_copy(update={"learning_rate": 0.3, "epochs": 6})
    result, weights = train(tiny_inputs, ruinous, engine, tmp_path / "long")
    assert result.best_epoch < 6
    short = ruinous.model_copy(update={"epochs": result.best_epoch})
    assert_same(train(tiny_inputs, short, engine, tmp_path / "short")[1], weights)


def test_the_last_epoch_can_be_kept(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    running = trainer(tiny_inputs, recipe.model_copy(update={"restore": "last", "epochs": 3}), engine, tmp_path)
    # The first epoch is the best.
    monkeypatch.setattr(validation, "evaluate", lambda *_: {"f1_micro": 1 / (1 + len(running.state.history))})
    saved = {}
    running.on_epoch = lambda history, times: saved.update(
        {len(history): {name: weights.clone() for name, weights in running.model.state_dict().items()}}
    )
    assert run_alone(running).best_epoch == 3
    assert_same(running.model.state_dict(), saved[3])


def test_codes_never_seen_in_training_are_described_before_every_evaluation(
    tiny_inputs, recipe, engine, tmp_path, monkeypatch
):
    """DR-CAML's authors call it at the head of their test function, on dev after every epoch too."""
    first, *others = tiny_inputs.labels["icd"]
    data = replace(tiny_inputs, labels={"icd": [first | {"train_documents": 0}, *others]})
    options = {"filters": 6, "kernel": 4, "description_weight": 1.0}
    inputs = ModelInputs(
        heads=data.heads, vocab_size=len(data.vectors), vectors=torch.from_numpy(data.vectors),
        descriptions={"icd": torch.tensor([[2, 3], [4, 0], [5, 0], [6, 0], [7, 0], [8, 0]])},
    )  # fmt: skip
    model = models.find("dr_caml")(configure("dr_caml", options, recipe), inputs)
    evaluate, seen = validation.evaluate, []

    def spy(*arguments):
        output = model.attention["icd"].output
        assert torch.equal(output.weight[:1], model._describe("icd", torch.tensor([0])))
        seen.append((output.bias[0].item(), output.bias[1:].abs().min().item() > 0))
        return evaluate(*arguments)

    monkeypatch.setattr(validation, "evaluate", spy)
    running = Trainer(model, data, recipe.model_copy(update={"epochs": 3}), engine, 1, Checkpoints(tmp_path))
    best = run_alone(running).best_epoch
    assert seen == [(0.0, True)] * 3 and best
    assert running.model.attention["icd"].output.bias[0] == 0


@pytest.mark.parametrize("size", [1, 3, 4])
def test_micro_batches_give_the_update_of_the_whole_batch(tiny_inputs, recipe, engine, tmp_path, size):
    recipe = recipe.model_copy(update={"dropout": 0.0, "epochs": 1, "clip_norm": 1.0})
    result, weights = train(tiny_inputs, recipe, engine, tmp_path / "whole")
    settings = engine.model_copy(update={"micro_batch": size})
    micro_result, micro_weights = train(tiny_inputs, recipe, settings, tmp_path / "parts")
    assert micro_result.history[0]["train_loss"] == pytest.approx(result.history[0]["train_loss"], rel=1e-5)
    for name, tensor in weights.items():
        torch.testing.assert_close(micro_weights[name], tensor, rtol=1e-3, atol=1e-4)


def test_models_with_batch_norm_refuse_micro_batches(tiny_inputs, recipe, engine, tmp_path):
    with pytest.raises(UserError, match=r"training\.micro_batch: the model normalizes over its batch; set 0"):
        trainer(tiny_inputs, recipe, engine.model_copy(update={"micro_batch": 2}), tmp_path, "multirescnn")


@pytest.mark.parametrize(("size", "micro"), [(1, 0), (1, 3), (2, 0), (2, 3), (3, 1), (3, 2), (9, 2)])
@pytest.mark.parametrize("batch_size", [1, 5, 8])
def test_processes_have_equally_many_micro_batches(tiny_inputs, recipe, engine, tmp_path, size, micro, batch_size):
    settings = engine.model_copy(update={"micro_batch": micro})
    running = trainer(tiny_inputs, recipe, settings, tmp_path)
    shared = []
    for rank in range(size):
        running.stepper.context = distributed.DistributedContext(rank, size)
        shared.append(running.stepper.micro_batches(batch_size))
    assert len({len(parts) for parts in shared}) == 1
    documents = [number for parts in shared for first, last in parts for number in range(first, last)]
    assert sorted(documents) == list(range(batch_size))
    assert not micro or all(last - first <= micro for parts in shared for first, last in parts)


def test_gradient_checkpointing_gives_the_same_training(tiny_inputs, recipe, engine, tmp_path):
    recipe = recipe.model_copy(update={"dropout": 0.0, "epochs": 1, "learning_rate": 0.001})
    weights = {}
    for kept in (True, False):
        settings = engine.model_copy(update={"gradient_checkpointing": not kept, "limit_batches": 3})
        model = build(tiny_inputs, recipe, "plm_icd", plain_encoder.tiny(vocabulary_size=len(tiny_inputs.vectors)))
        running = Trainer(model, tiny_inputs, recipe, settings, 1, Checkpoints(tmp_path / str(kept)))
        assert model.encoder.is_activation_checkpointing is not kept
        run_alone(running)
        weights[kept] = running.model.state_dict()
    for name, tensor in weights[True].items():
        torch.testing.assert_close(weights[False][name], tensor)


def test_training_stops_after_patience_epochs_without_improvement(tiny_inputs, recipe, engine, tmp_path):
    still = recipe.model_copy(update={"learning_rate": 1e-12, "epochs": 30, "patience": 3, "monitor": "loss"})
    result, _ = train(tiny_inputs, still, engine, tmp_path)
    assert len(result.history) == 4
    assert result.best_epoch == 1
    assert result.stopped == "3 epochs without a better loss"


def test_patience_does_not_run_while_the_monitor_is_no_better_than_that_of_base_rates(
    tiny_inputs, recipe, engine, tmp_path
):
    still = recipe.model_copy(update={"learning_rate": 1e-12, "epochs": 6, "patience": 3, "monitor": "f1_micro"})
    rates = tiny_inputs.splits["train"].targets["icd"].matrix.toarray().mean(0)
    gold = tiny_inputs.splits["dev"].targets["icd"].matrix.toarray()
    floor = dev_metrics(gold, np.tile(rates.astype(np.float32), (len(gold), 1)), ["f1_micro"])["f1_micro"]
    result, _ = train(tiny_inputs, still, engine, tmp_path)
    assert result.history[0]["f1_micro"] < floor + 0.02
    assert result.stopped == "last epoch"


def test_the_loss_can_be_the_monitor(tiny_inputs, recipe, engine, tmp_path):
    result, _ = train(tiny_inputs, recipe.model_copy(update={"monitor": "loss"}), engine, tmp_path)
    losses = [row["dev_loss"] for row in result.history]
    assert result.best_epoch == int(np.argmin(losses)) + 1


def test_the_same_seed_gives_the_same_weights(tiny_inputs, recipe, engine, tmp_path):
    assert_same(
        train(tiny_inputs, recipe, engine, tmp_path / "a")[1], train(tiny_inputs, recipe, engine, tmp_path / "b")[1]
    )


def test_a_nonfinite_loss_names_step_rate_and_admissions(tiny_inputs, recipe, engine, tmp_path):
    running = trainer(tiny_inputs, recipe, engine, tmp_path)
    with torch.no_grad():
        running.model.convolution.bias.fill_(torch.nan)
    with pytest.raises(UserError, match=r"loss is nan at step 1 with learning rate 0.01, admissions a\d+, a\d+"):
        run_alone(running)


@pytest.fixture
def nan_loss_training(tiny_inputs, recipe, engine, tmp_path, monkeypatch) -> Trainer:
    """A training whose third step has a NaN loss, with a checkpoint after every third step."""
    running = trainer(tiny_inputs, recipe, engine.model_copy(update={"checkpoint_steps": 3}), tmp_path)
    compute = train_step.document_losses

    def losses(*arguments):
        factor = torch.nan if running.state.global_step == 2 else 1.0
        return {name: value * factor for name, value in compute(*arguments).items()}

    monkeypatch.setattr(train_step, "document_losses", losses)
    return running


@pytest.mark.parametrize("every", [1000, 3])
def test_a_deferred_nonfinite_loss_names_its_step_and_admissions(nan_loss_training, every):
    nan_loss_training.engine = nan_loss_training.engine.model_copy(update={"checkpoint_steps": every})
    third = ", ".join(
        nan_loss_training.train_split.documents[number] for number in nan_loss_training.epoch_batches(0)[2].documents
    )
    with pytest.raises(UserError, match=f"loss is nan at step 3 with learning rate 0.01, admissions {third};"):
        run_alone(nan_loss_training)
    assert nan_loss_training.state.global_step == 3, (
        "it is not read before the next step is under way, or the state is saved"
    )
    assert nan_loss_training.checkpoints.load() is None


def test_the_epoch_loss_is_the_mean_of_its_step_losses(tiny_inputs, recipe, engine, tmp_path, monkeypatch):
    running, step_losses = trainer(tiny_inputs, recipe.model_copy(update={"epochs": 2}), engine, tmp_path), []
    add = running.losses.add
    monkeypatch.setattr(running.losses, "add", lambda losses: (step_losses.append(losses), add(losses)))
    history = run_alone(running).history
    steps = len(running.epoch_batches(0))
    for row, of_epoch in zip(history, (step_losses[:steps], step_losses[steps:]), strict=True):
        assert row["train_loss"] == sum(losses.read()["train_loss"] for losses in of_epoch) / steps


@needs_gpu
def test_no_step_waits_for_the_gpu(tiny_inputs, recipe, engine, tmp_path):
    model = build(tiny_inputs, recipe.model_copy(update={"clip_norm": 1.0})).to("cuda")
    running = Trainer(model, tiny_inputs, recipe, engine, 1, Checkpoints(tmp_path))
    running.model.train()
    batch = running.epoch_batches(0)[0]

    def launch():
        running.stepper.prepare(0.01, 1, 0)
        return AsyncHostCopy(running.stepper.run(to_device(batch.documents, running.device), batch.length))

    launch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = launch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert losses.read()[0] > 0


def test_overfit_trains_and_validates_on_the_first_documents(tiny_inputs, recipe, engine, tmp_path):
    settings = engine.model_copy(update={"overfit_documents": 8})
    recipe = recipe.model_copy(update={"epochs": 60, "dropout": 0.0})
    result, _ = train(tiny_inputs, recipe, settings, tmp_path)
    assert max(row["f1_micro"] for row in result.history) == 1.0


def test_penalties_of_a_model_are_trained_on(tiny_inputs, recipe, engine, tmp_path):
    running = trainer(tiny_inputs, recipe.model_copy(update={"dropout": 0.0}), engine, tmp_path)
    batch = running.epoch_batches(0)[0]
    documents = torch.from_numpy(batch.documents)
    running.stepper.prepare(0.0, 1, 0)
    plain = running.stepper.update(documents, batch.length)[0]
    running.model.regularization = lambda gold: 0.5 * gold["icd"].sum(1)
    codes = tiny_inputs.splits["train"].targets["icd"].matrix[batch.documents].sum(1).mean()
    with_extra = running.stepper.update(documents, batch.length)[0]
    torch.testing.assert_close(with_extra, plain + 0.5 * codes, check_dtype=False)


def test_only_the_heads_of_the_model_are_trained(tiny_inputs, recipe, engine, tmp_path):
    labels = tiny_inputs.labels | {"category": [{"train_documents": 1}]}
    more = replace(tiny_inputs, labels=labels)  # no split has gold labels for it
    running = Trainer(build(tiny_inputs, recipe), more, recipe, engine, 1, Checkpoints(tmp_path))
    assert run_alone(running).stopped == "last epoch"
    assert list(running.model.heads) == ["icd"]


def test_limit_bounds_the_batches_of_an_epoch(tiny_inputs, recipe, engine, tmp_path):
    running = trainer(tiny_inputs, recipe, engine.model_copy(update={"limit_batches": 2}), tmp_path)
    run_alone(running)
    assert running.state.global_step == 2 * recipe.epochs


def test_a_metric_that_dev_leaves_undefined_is_refused_before_the_first_step(tiny_inputs, recipe, engine, tmp_path):
    dev = tiny_inputs.splits["dev"]
    without_gold = replace(dev, targets={head: Targets.uncoded(len(dev), 6) for head in dev.targets})
    without_gold.targets["icd"].is_coded[:] = True
    data = replace(tiny_inputs, splits=tiny_inputs.splits | {"dev": without_gold})
    with pytest.raises(
        UserError, match=r"monitor: auc_macro is undefined on dev, whose \d+ documents have 0 labels of"
    ):
        trainer(data, recipe.model_copy(update={"monitor": "auc_macro"}), engine, tmp_path)
