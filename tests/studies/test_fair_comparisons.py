"""Rows whose difference is tested had the same budget on small corpora, wherever their settings come from."""

from __future__ import annotations

import pytest

from medcode import config
from medcode.studies import settling
from medcode.studies import study as studies

BUDGET = ("epochs", "max_tokens", "batch_size")
# What may differ, and why.
EXCEPTIONS = {
    "bert-architectures": {"max_tokens": "how much of a note is read is what the rows differ in"},
    "bert-frequency": dict.fromkeys(BUDGET, "networks on words beside encoders on pieces"),
    "cnn-retrained": {"batch_size": "part of the retraining"},
    "jams": {"epochs": "JAMS sees the documents of both systems in an epoch, its rivals those of one"},
    "jams-frequency": {"epochs": "as jams"},
    "jams-linkage": {"epochs": "as jams"},
}


def pairs(root):
    for name in studies.names(root):
        study = studies.load(root, name)
        trained = {row for row in study.definition.rows if study.label_sets(row)}  # a row for MIMIC alone is not
        yield from ((study, *pair) for pair in study.definition.comparisons if study.small and trained >= set(pair))


def budget(raw, study, row):
    settled = settling.settle(raw, study, row, study.label_sets(row)[0], 1)
    return settled["models"][settled["model"]]["training"][settled["recipe"]]


def test_rows_that_are_compared_had_the_same_budget(root):
    raw, compared = config.read_yaml(root / "params.yaml"), 0
    for study, first, second in pairs(root / "studies"):
        one, other = budget(raw, study, first), budget(raw, study, second)
        for name in set(BUDGET) - set(EXCEPTIONS.get(study.name, {})):
            assert one[name] == other[name], f"{study.name}: {name} of {first} and {second}"
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_an_exception_that_is_none_is_struck_out(root, name):
    raw = config.read_yaml(root / "params.yaml")
    for key in EXCEPTIONS[name]:
        rows = [
            (budget(raw, s, a)[key], budget(raw, s, b)[key]) for s, a, b in pairs(root / "studies") if s.name == name
        ]
        assert any(one != other for one, other in rows), key
