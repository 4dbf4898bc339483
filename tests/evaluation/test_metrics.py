"""Metrics of predicted codes agree with scikit-learn and with their definitions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_problems import long_tailed, problems
from scipy import sparse
from sklearn import metrics as sklearn

from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError
from medcode.evaluation import metrics

ALL = {"average": "macro", "zero_division": 0}
FLAT = {"average": "micro", "zero_division": 0}


def per_label(gold, scores, threshold=0.5):
    return metrics.counts(as_binary_csr(gold), scores, threshold)[0]


def assert_predicted_set_agrees(gold, scores):
    labels, documents = metrics.counts(as_binary_csr(gold), scores, 0.5)
    predicted = (scores > 0.5).astype(np.uint8)
    present = np.flatnonzero(gold.any(axis=0))
    assert metrics.precision_micro(labels) == pytest.approx(sklearn.precision_score(gold, predicted, **FLAT))
    assert metrics.recall_micro(labels) == pytest.approx(sklearn.recall_score(gold, predicted, **FLAT))
    assert metrics.f1_micro(labels) == pytest.approx(sklearn.f1_score(gold, predicted, **FLAT))
    assert metrics.precision_macro(labels) == pytest.approx(sklearn.precision_score(gold, predicted, **ALL))
    assert metrics.recall_macro(labels) == pytest.approx(sklearn.recall_score(gold, predicted, **ALL))
    assert metrics.f1_macro(labels, "per_label_all") == pytest.approx(sklearn.f1_score(gold, predicted, **ALL))
    expected = sklearn.f1_score(gold, predicted, labels=present, **ALL) if len(present) else 0.0
    assert metrics.f1_macro(labels, "per_label_present") == pytest.approx(expected)
    assert metrics.jaccard_micro(labels) == pytest.approx(sklearn.jaccard_score(gold, predicted, **FLAT))
    assert metrics.jaccard_macro(labels) == pytest.approx(sklearn.jaccard_score(gold, predicted, **ALL))
    assert metrics.exact_match(documents) == pytest.approx(sklearn.accuracy_score(gold, predicted))


@given(problems())
def test_predicted_set_agrees_with_scikit_learn(problem):
    gold, scores = problem
    with np.errstate(all="raise"):
        assert_predicted_set_agrees(gold, scores)


def test_predicted_set_agrees_beyond_one_block():
    assert_predicted_set_agrees(*long_tailed())


@given(problems())
def test_caml_macro_f1_is_its_formula(problem):
    gold, scores = problem
    predicted = scores > 0.5
    hits = (predicted * gold).sum(axis=0)
    precision = np.mean(hits / (predicted.sum(axis=0) + 1e-10))
    recall = np.mean(hits / (gold.sum(axis=0) + 1e-10))
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert metrics.f1_macro(per_label(gold, scores), "caml") == pytest.approx(expected, abs=1e-9)


def test_macro_f1_definitions_by_hand():
    gold = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]])
    predicted = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    labels = per_label(gold, predicted)
    # Precision 1/2, 1/1, 0/1 and recall 1/2, 1/3, 0: means 1/2 and 5/18.
    assert metrics.f1_macro(labels, "caml") == pytest.approx(2 * (1 / 2) * (5 / 18) / (1 / 2 + 5 / 18))
    # F1 1/2, 1/2 and, for the label without gold, 0.
    assert metrics.f1_macro(labels, "per_label_all") == pytest.approx(1 / 3)
    assert metrics.f1_macro(labels, "per_label_present") == pytest.approx(1 / 2)


def test_macro_f1_definitions_are_not_comparable():
    labels = per_label(*long_tailed())
    f1 = {definition: round(metrics.f1_macro(labels, definition), 4) for definition in metrics.MACRO_F1}
    assert f1 == {"caml": 0.1106, "per_label_all": 0.0978, "per_label_present": 0.1248}


def test_threshold_itself_is_negative():
    gold = np.array([[1, 1]])
    assert per_label(gold, np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1))]])).predicted.tolist() == [0, 1]
    # 0.3 as float32 is above 0.3 as float64: the threshold must be rounded as the scores are.
    assert per_label(gold, np.array([[0.3, 0.4]], np.float32), 0.3).predicted.tolist() == [0, 1]


def test_nothing_predicted_is_zero_not_nan():
    labels, documents = metrics.counts(as_binary_csr(np.eye(3)), np.zeros((3, 3), np.float32), 0.5)
    assert (metrics.precision_micro(labels), metrics.f1_micro(labels), metrics.f1_macro(labels, "caml")) == (0, 0, 0)
    assert metrics.exact_match(documents) == 0


def test_codes_outside_the_label_set_count_as_missed():
    labels = per_label(np.array([[1, 1]]), np.array([[0.9, 0.1]], np.float32))
    assert metrics.recall_micro(labels) == 1 / 2
    assert metrics.recall_micro(labels, missed=2) == 1 / 4
    assert metrics.f1_micro(labels, missed=2) == 2 / 5


@given(problems(), st.integers(0, 2**32))
def test_order_of_documents_does_not_matter(problem, seed):
    gold, scores = problem
    order = np.random.default_rng(seed).permutation(len(gold))
    for expected, actual in zip(all_metrics(gold, scores), all_metrics(gold[order], scores[order]), strict=True):
        assert actual == pytest.approx(expected, nan_ok=True)


def all_metrics(gold, scores) -> list[float]:
    labels, documents = metrics.counts(as_binary_csr(gold), scores, 0.5)
    return [
        *(metrics.f1_macro(labels, definition) for definition in metrics.MACRO_F1),
        metrics.f1_micro(labels),
        metrics.jaccard_macro(labels),
        metrics.exact_match(documents),
    ]


@given(problems())
def test_sparse_gold_may_have_stored_zeros_and_any_column_order(problem):
    gold, scores = problem
    stored = sparse.csr_array(np.ones_like(gold))
    stored.data[:] = gold.ravel()
    reversed_columns = stored[:, ::-1].tocsr()[:, ::-1].tocsr()
    for form in (stored, reversed_columns, sparse.csr_matrix(gold), gold.astype(bool)):
        np.testing.assert_equal(all_metrics(form, scores), all_metrics(gold, scores))


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_scores_must_be_probabilities(bad):
    with pytest.raises(UserError, match="between 0 and 1"):
        metrics.check_scores(as_binary_csr(np.eye(2)), np.array([[0.5, bad], [0, 1]]))


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="0 or 1"):
        as_binary_csr(np.array([[2, 0]]))
    with pytest.raises(ValueError, match="documents, labels"):
        metrics.check_scores(as_binary_csr(np.eye(2)), np.zeros((2, 3)))
