"""The inputs of a model's constructor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import settings

from medcode import models
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
