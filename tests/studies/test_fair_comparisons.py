"""Rows whose difference is tested have the same training budget on small corpora."""

from __future__ import annotations

import functools

import pytest
from study_results import all_issued, issued, raw_params

from medcode.config.recipes import model_settings
from medcode.studies.definition import resolve

BUDGET = ("epochs", "patience", "schedule", "max_tokens", "batch_size")
START = ("label_init", "label_biases", "embedding_init", "description_documents")
# What may differ, and why.
SENTENCES = dict.fromkeys(("max_tokens", "epochs", "patience", "batch_size"), "many short sentences, few documents")
EXCEPTIONS = {
    "bert-architectures": {"max_tokens": "how much of a note is read is what the rows differ in"},
    "bert-frequency": dict.fromkeys((*BUDGET, "label_biases"), "networks on words beside encoders on subwords"),
    "cantemist": SENTENCES,
    "codiesp-d-es": SENTENCES,
    "codiesp-p-es": SENTENCES,
    "label-knowledge": {
        "label_init": "whether labels start from their titles is what rows differ in",
        "description_documents": "DR-CAML learns from titles as documents, too",
    },
    "label-knowledge-codiesp": {"label_init": "whether labels start from their titles is what rows differ in"},
    "label-knowledge-mimic4": {"label_init": "whether labels start from their titles is what rows differ in"},
    "mtram-icd": {"label_init": "CNN has nothing to start; HyperCore starts from descriptions in any case"},
    "slides-models": {"label_init": "HyperCore starts from descriptions in any case"},
}


def pairs():
    for study in all_issued():
        trained = {row for row in study.definition.rows if study.label_sets(row)}  # a row for MIMIC alone is not
        yield from ((study, *pair) for pair in study.definition.comparisons if study.small and trained >= set(pair))


@functools.cache
def budget(name, row):
    study = issued(name)
    resolved = resolve.resolve_params(raw_params(), study, row, study.label_sets(row)[0], 1)
    content = {key: resolved[key] for key in ("options", "recipes")}
    return model_settings(content, study.name, resolved["model"], resolved["recipe"], resolved["label_set"]).recipe


def setting(recipe, name):
    """Return a setting; the epochs of a curriculum above the codes count as well."""
    above = recipe.curriculum.epochs if name == "epochs" and recipe.curriculum else []
    return getattr(recipe, name) + sum(above) if above else getattr(recipe, name)


def test_compared_rows_have_the_same_budget():
    compared = 0
    for study, first, second in pairs():
        one, other = budget(study.name, first), budget(study.name, second)
        for name in {*BUDGET, *START} - set(EXCEPTIONS.get(study.name, {})):
            assert setting(one, name) == setting(other, name), f"{study.name}: {name} of {first} and {second}"
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_every_listed_exception_is_needed(name):
    for key in EXCEPTIONS[name]:
        rows = [
            (setting(budget(name, a), key), setting(budget(name, b), key))
            for study, a, b in pairs()
            if study.name == name
        ]
        assert any(one != other for one, other in rows), key
