"""A model may run its network several times on a training batch, and add penalties to the loss."""

from __future__ import annotations

import pytest
import torch
import trainers
from torch import nn

from medcode.config import models as configs
from medcode.engine.distributed import DistributedContext
from medcode.errors import UserError
from medcode.models.base import Model
from medcode.models.caml import Caml
from medcode.models.inputs import TrainingOutput
from medcode.training.checkpoint import Checkpoints
from medcode.training.train_step import TrainStep
from medcode.training.trainer import Trainer


class TwoPasses(Caml):
    """CAML whose second pass reads the notes backwards, with a penalty that is the epoch."""

    def training_forward(self, tokens, lengths, gold, epoch):
        assert gold["icd"].shape == (len(tokens), self.heads["icd"])
        backwards = tokens.flip(1)
        passes = [self(tokens, lengths), self(backwards, torch.full_like(lengths, tokens.shape[1]))]
        return TrainingOutput(passes, {"train_extra": epoch * lengths.float()})


def step_of(model: Model, tiny_inputs, recipe, engine) -> TrainStep:
    trainer = Trainer(model, tiny_inputs, recipe, engine, 1, Checkpoints("nowhere"))
    return trainer.stepper


def model_of(cls: type[Model], tiny_inputs, recipe) -> Model:
    model = trainers.build(tiny_inputs, recipe.model_copy(update={"dropout": 0.0}))
    model.__class__ = cls
    return model


def test_losses_are_the_mean_over_the_passes_and_penalties_are_added(tiny_inputs, recipe, engine):
    model = model_of(TwoPasses, tiny_inputs, recipe)
    stepper = step_of(model, tiny_inputs, recipe, engine)
    documents = torch.tensor([3, 5, 8])
    tokens, lengths = stepper.notes.gather(documents, 60)
    gold = stepper.targets["icd"].rows(documents)
    with torch.no_grad():
        passes = model.training_forward(tokens, lengths, {"icd": gold}, torch.tensor(2)).logits
        expected = torch.stack([nn.functional.binary_cross_entropy_with_logits(one["icd"], gold) for one in passes])
    stepper.prepare(0.0, 1, 0, epoch=2)
    losses = stepper.update(documents, 60)
    assert stepper.loss_names == ("train_loss", "train_extra")
    extra = 2 * lengths.float().mean()
    torch.testing.assert_close(losses, torch.stack([expected.mean() + extra, extra]))


def test_gradients_are_those_of_both_passes(tiny_inputs, recipe, engine):
    gradients = []
    for cls in (Caml, TwoPasses):
        model = model_of(cls, tiny_inputs, recipe)
        stepper = step_of(model, tiny_inputs, recipe, engine)
        stepper.prepare(0.0, 1, 0)
        stepper.update(torch.tensor([3, 5, 8]), 60)
        gradients.append(model.attention["icd"].output.weight.grad.clone())
    assert not torch.allclose(*gradients)


def test_the_learning_curve_has_the_penalties_and_the_epoch_counts(tiny_inputs, recipe, engine, tmp_path):
    model = model_of(TwoPasses, tiny_inputs, recipe)
    short = recipe.model_copy(update={"epochs": 2})
    result = trainers.run_alone(Trainer(model, tiny_inputs, short, engine, 1, Checkpoints(tmp_path)))
    first, second = (row["train_extra"] for row in result.history)
    assert second == pytest.approx(2 * first, rel=0.2)  # batches of other documents


def test_micro_batches_and_the_whole_batch_give_the_same_losses(tiny_inputs, recipe, engine):
    losses = []
    for size in (0, 2):
        model = model_of(TwoPasses, tiny_inputs, recipe)
        stepper = step_of(model, tiny_inputs, recipe, engine.model_copy(update={"micro_batch": size}))
        stepper.prepare(0.0, 1, 0)
        losses.append(stepper.update(torch.tensor([3, 5, 8]), 60))
    torch.testing.assert_close(*losses)


def test_spans_and_a_training_of_its_own_are_refused(tiny_inputs, recipe, engine):
    model = model_of(TwoPasses, tiny_inputs, recipe)
    stepper = step_of(model, tiny_inputs, recipe, engine)
    with pytest.raises(UserError, match="span_weight: TwoPasses has a training of its own"):
        TrainStep(model, stepper.notes, stepper.targets, recipe, engine, DistributedContext(), spans={"icd": object()})


def test_a_model_has_no_training_of_its_own_by_default(tiny_inputs, recipe):
    model = trainers.build(tiny_inputs, recipe)
    assert not model.has_own_training and model_of(TwoPasses, tiny_inputs, recipe).has_own_training
    assert not any(getattr(configs.find("caml"), f"needs_{name}") for name in ("titles", "terms", "tree"))
