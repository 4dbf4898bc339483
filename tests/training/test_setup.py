"""The inputs of a model's constructor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import settings

from medcode import models
from medcode.errors import UserError
from medcode.training import setup


def read(name: str, recipe: str | None, tiny_inputs, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: tiny_inputs)
    chosen = settings(name, recipe)
    config = chosen.config.model_copy(update={"heads": ["icd"]})
    _, inputs, _ = setup.read(models.find(name), config, chosen.recipe, {"inputs": Path("nowhere")})
    return inputs.vectors


@pytest.mark.parametrize("name", ["laat", "joint_laat"])
def test_laat_as_published_has_word_vectors_as_word2vec_gives_them(name, tiny_inputs, monkeypatch):
    vectors = read(name, "published", tiny_inputs, monkeypatch)
    assert torch.equal(vectors[:-1], torch.from_numpy(tiny_inputs.vectors)[:-1])
    assert vectors[-1].abs().max() <= 0.25


@pytest.mark.parametrize(("name", "recipe"), [("laat", "edin"), ("laat", "quick"), ("caml", None), ("dcan", None)])
def test_other_trainings_have_word_vectors_of_norm_one(name, recipe, tiny_inputs, monkeypatch):
    vectors = read(name, recipe, tiny_inputs, monkeypatch)
    np.testing.assert_allclose(vectors[1:].norm(dim=1), 1, rtol=1e-5)
    assert not vectors[0].any()


@pytest.mark.parametrize(
    ("monitor", "heads", "sizes", "refused"),
    [
        ("precision_at_15", "first", {"icd": 10}, "precision_at_15 needs 15 labels, and the head icd has 10"),
        ("mean_of_seven", "first", {"icd": 14}, "mean_of_seven needs 15 labels, and the head icd has 14"),
        ("precision_at_5", "first", {"icd": 3}, "precision_at_5 needs 5 labels, and the head icd has 3"),
        ("precision_at_8", "all", {"icd": 50, "ccs": 7}, "precision_at_8 needs 8 labels, and the head ccs has 7"),
        ("precision_at_8", "first", {"icd": 50, "ccs": 7}, None),
        ("precision_at_15", "first", {"icd": 15}, None),
        ("loss", "all", {"icd": 1}, None),
        ("map", "all", {"icd": 1}, None),
    ],
)
def test_a_metric_that_the_labels_do_not_allow_is_refused_with_the_setting(monitor, heads, sizes, refused):
    chosen = settings("caml", "published")
    recipe = chosen.recipe.model_copy(update={"monitor": monitor, "monitor_heads": heads})
    chosen = replace(chosen, recipe=recipe)
    if refused is None:
        setup.check_monitor(chosen, sizes)
        return
    with pytest.raises(UserError) as mistake:
        setup.check_monitor(chosen, sizes)
    assert str(mistake.value).startswith(
        f"configs/models/caml.yaml: recipes.published.monitor: {refused}; set one of f1"
    )
