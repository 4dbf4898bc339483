"""Ranking metrics and AUC agree with scikit-learn and with their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_problems import long_tailed, problems
from sklearn import metrics as sklearn

from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError
from medcode.evaluation import ranking


def reference_order(scores: np.ndarray) -> np.ndarray:
    return np.argsort(scores, axis=1, kind="stable")[:, ::-1]


@given(problems())
def test_ranking_metrics_are_their_definitions(problem):
    gold, scores = problem
    ranks = ranking.gold_ranks(as_binary_csr(gold), scores)
    sorted_gold = np.take_along_axis(gold, reference_order(scores), axis=1).astype(float)
    size = gold.sum(axis=1)
    for k in range(1, gold.shape[1] + 1):
        hits = sorted_gold[:, :k].sum(axis=1)
        assert ranking.precision_at(ranks, k) == pytest.approx(np.mean(hits / k))
        assert ranking.recall_at(ranks, k) == pytest.approx(np.mean(hits / np.maximum(size, 1)))
    present = [row[:n].sum() / n for row, n in zip(sorted_gold, size, strict=True) if n]
    assert ranking.r_precision(ranks) == pytest.approx(np.mean(present) if present else 0.0)
    precision = np.cumsum(sorted_gold, axis=1) / np.arange(1, gold.shape[1] + 1)
    average = [np.mean(p[row > 0]) for p, row in zip(precision, sorted_gold, strict=True) if row.any()]
    assert ranking.mean_average_precision(ranks) == pytest.approx(np.mean(average) if average else 0.0)


@given(problems(tied=False))
def test_map_agrees_with_scikit_learn(problem):
    gold, scores = problem
    some = gold.any(axis=1)
    expected = sklearn.label_ranking_average_precision_score(gold[some], scores[some]) if some.any() else 0.0
    value = ranking.mean_average_precision(ranking.gold_ranks(as_binary_csr(gold), scores))
    assert value == pytest.approx(expected)


def test_the_later_column_ranks_first_among_equal_scores():
    gold = np.array([[1, 0, 1, 0]])
    ranks = ranking.gold_ranks(as_binary_csr(gold), np.array([[0.5, 0.5, 0.5, 0.9]], np.float32))
    assert ranks.ranks.tolist() == [2, 4]


def assert_auc_agrees(gold, scores):
    areas = ranking.auc_per_label(as_binary_csr(gold), scores)
    for label, area in enumerate(areas):
        if len(np.unique(gold[:, label])) == 2:
            assert area == pytest.approx(sklearn.roc_auc_score(gold[:, label], scores[:, label]))
        else:
            assert math.isnan(area)
    usable = areas[~np.isnan(areas)]
    macro, micro = ranking.auc_macro(areas), ranking.auc_micro(as_binary_csr(gold), scores)
    assert macro == pytest.approx(usable.mean()) if len(usable) else math.isnan(macro)
    if len(np.unique(gold)) == 2:
        assert micro == pytest.approx(sklearn.roc_auc_score(gold.ravel(), scores.ravel()))
    else:
        assert math.isnan(micro)


@given(problems())
def test_auc_agrees_with_scikit_learn(problem):
    assert_auc_agrees(*problem)


def test_auc_agrees_beyond_one_block():
    assert_auc_agrees(*long_tailed())


@given(problems(), st.integers(0, 2**32))
def test_order_of_documents_does_not_matter(problem, seed):
    gold, scores = problem
    order = np.random.default_rng(seed).permutation(len(gold))
    for expected, actual in zip(all_metrics(gold, scores), all_metrics(gold[order], scores[order]), strict=True):
        assert actual == pytest.approx(expected, nan_ok=True)


def all_metrics(gold, scores) -> list[float]:
    gold = as_binary_csr(gold)
    ranks = ranking.gold_ranks(gold, scores)
    return [
        ranking.precision_at(ranks, 2),
        ranking.recall_at(ranks, 2),
        ranking.r_precision(ranks),
        ranking.mean_average_precision(ranks),
        ranking.auc_macro(ranking.auc_per_label(gold, scores)),
        ranking.auc_micro(gold, scores),
    ]


def test_k_above_the_number_of_labels_is_refused():
    ranks = ranking.gold_ranks(as_binary_csr(np.eye(2)), np.eye(2))
    with pytest.raises(UserError, match="only 2 labels"):
        ranking.precision_at(ranks, 3)
