"""Loss and learning rate."""

from __future__ import annotations

import math

import pytest
import torch

from medcode.training.optimisation import binary_cross_entropy, learning_rate, make_optimiser


def test_the_loss_is_a_mean_over_labels_and_a_sum_over_heads():
    logits = {"icd": torch.tensor([[0.0, 2.0]]), "ccs": torch.tensor([[-1.0]])}
    gold = {"icd": torch.tensor([[1.0, 0.0]]), "ccs": torch.tensor([[0.0]])}
    icd = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert binary_cross_entropy(logits, gold).tolist() == pytest.approx([icd + math.log(1 + math.exp(-1))])


def test_the_rate_rises_then_falls_in_a_line(recipe):
    linear = recipe.model_copy(update={"schedule": "linear", "warmup_steps": 4, "learning_rate": 1.0})
    assert [learning_rate(linear, step, 12) for step in range(12)] == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )


def test_the_rate_stays_where_the_schedule_is_constant(recipe):
    assert {learning_rate(recipe, step, 10) for step in range(10)} == {recipe.learning_rate}


def test_static_vectors_are_not_given_to_the_optimiser(recipe):
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    optimiser = make_optimiser(layer, recipe.model_copy(update={"optimizer": "adamw", "weight_decay": 0.1}))
    assert isinstance(optimiser, torch.optim.AdamW)
    assert [parameter.shape for parameter in optimiser.param_groups[0]["params"]] == [layer.weight.shape]
    assert optimiser.defaults["weight_decay"] == 0.1
