"""The inputs of a model's constructor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import plain_encoder
import pytest
import torch
from small_models import settings

from medcode.codes.tree import Node
from medcode.config.recipes import CurriculumSettings
from medcode.dataset import knowledge
from medcode.encoders.subwords import SubwordTokenizer
from medcode.errors import UserError
from medcode.training import setup


def read(name: str, recipe: str | None, tiny_inputs, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: tiny_inputs)
    chosen = settings(name, recipe)
    config = chosen.config.model_copy(update={"heads": ["icd"]})
    _, inputs, _ = setup.read(config, chosen.recipe, {"inputs": Path("nowhere")})
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


def test_a_model_gets_what_it_needs_of_its_labels_and_nothing_else(tiny_inputs, monkeypatch, tmp_path):
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: tiny_inputs)
    chosen = settings("caml", "quick")
    terms = {"icd": [["a"]] * 6}
    paths = {"icd": [(Node("code", "icd9cm", str(number), ""),) for number in range(6)]}
    knowledge.write(tmp_path, terms, paths)
    fields = ("descriptions", "titles", "terms", "tree", "cooccurrence")
    _, inputs, _ = setup.read(chosen.config, chosen.recipe, {"inputs": Path("nowhere")})
    assert [getattr(inputs, name) for name in fields] == [None] * 5
    for name in fields[1:]:
        monkeypatch.setattr(type(chosen.config), f"needs_{name}", True)
    _, inputs, _ = setup.read(chosen.config, chosen.recipe, {"inputs": Path("nowhere"), "knowledge": tmp_path})
    assert inputs.titles == {"icd": [f"Description {number}" for number in range(6)]}
    assert inputs.terms == terms and inputs.tree == paths
    gold = tiny_inputs.splits["train"].targets["icd"].matrix.toarray().astype(int)
    assert (inputs.cooccurrence["icd"].toarray() == gold.T @ gold).all()  # of training documents alone
    monkeypatch.undo()
    monkeypatch.setattr(setup.arrays, "load", lambda *arguments, **options: tiny_inputs)
    with_curriculum = chosen.recipe.model_copy(update={"curriculum": CurriculumSettings(epochs=[1, 1, 1, 1])})
    _, taught, _ = setup.read(chosen.config, with_curriculum, {"inputs": Path("nowhere"), "knowledge": tmp_path})
    assert (taught.tree, taught.terms) == (paths, None)
    unknown = len(tiny_inputs.vocabulary) + 1
    assert inputs.tokenize(["Word3, word1", "", "other"])[0].tolist() == [4, 2]
    assert [ids.tolist() for ids in inputs.tokenize(["", "other"])] == [[], [unknown]]


def test_texts_are_split_into_subwords_as_notes_are(tiny_inputs):
    words = ["heart", "failure", "Heart"]
    for text, ids in (("words", [0, 1]), ("raw", [2, 1])):
        tokenizer = SubwordTokenizer(plain_encoder.tokenizer(words), text)
        assert setup.text_tokenizer(tiny_inputs, tokenizer)(["Heart failure"])[0].tolist() == ids
