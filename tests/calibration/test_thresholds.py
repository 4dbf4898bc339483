"""Thresholds of codes: the best of each, how they are drawn towards the one for all, and how far."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit, logit

from medcode.calibration import thresholds
from medcode.calibration.thresholds import best_thresholds, choose, shrunk
from medcode.inference.calibration import log_odds


def best(scores: list[float], gold: list[int], of_all: float) -> float:
    found, positives = best_thresholds(
        sparse.csr_array(np.array(gold)[:, None]), log_odds(np.array(scores, np.float32))[:, None], of_all
    )
    assert positives.tolist() == [sum(gold)]
    return float(expit(found[0]))


def test_the_best_threshold_by_hand():
    # Predicting the first three has F1 = 2 * 2 / (3 + 2) = 0.8, the first alone 2 / 3, all five 4 / 7.
    scores, gold = [0.9, 0.8, 0.7, 0.2, 0.1], [1, 0, 1, 0, 0]
    between = float(expit((logit(0.7) + logit(0.2)) / 2))
    assert best(scores, gold, 0.95) == pytest.approx(between)
    assert best(scores, gold, 0.5) == pytest.approx(0.5), "where that for all does as well it stays"
    assert best(scores, gold, 0.05) == pytest.approx(between)


def test_equal_scores_are_predicted_together():
    # 2 * 2 / (4 + 2) = 2 / 3 with all, 2 / 3 with the first alone: the nearer one.
    assert best([0.9, 0.6, 0.6, 0.6], [1, 1, 0, 0], 0.95) == pytest.approx(float(expit((logit(0.9) + logit(0.6)) / 2)))
    assert best([0.9, 0.6, 0.6, 0.6], [1, 1, 0, 0], 0.2) == pytest.approx(0.2)


@given(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=12), st.integers(1, 99))
def test_no_other_threshold_has_a_better_f1(documents, of_all):
    scores, gold = (np.array(column) for column in zip(*documents, strict=True))
    scores = (scores / 100).astype(np.float32)
    if not gold.any():
        return

    def f1(threshold: float) -> float:
        predicted = scores > np.float32(threshold)
        return 2 * (predicted & gold).sum() / (predicted.sum() + gold.sum())

    found = best(scores.tolist(), gold.astype(int).tolist(), of_all / 100)
    assert f1(found) == max(f1(threshold) for threshold in np.arange(100) / 100 + 0.005)


BEST, POSITIVES = np.array([-2.0, 0.5, 3.0]), np.array([40, 1, 0])


def test_without_strength_each_code_has_its_best_and_with_all_of_it_the_threshold_for_all():
    assert shrunk(BEST, POSITIVES, 0.4, 0.0)[:2] == pytest.approx(expit(BEST[:2]))
    assert shrunk(BEST, POSITIVES, 0.4, 0.0)[2] == 0.4, "a code without a gold document has none of its own"
    assert shrunk(BEST, POSITIVES, 0.4, np.inf).tolist() == [0.4] * 3
    assert shrunk(BEST, POSITIVES, 0.4, 1e12) == pytest.approx([0.4] * 3)


def test_the_weight_of_the_best_is_its_number_of_documents():
    values = logit(shrunk(BEST, POSITIVES, 0.4, 10.0))
    assert values[:2] == pytest.approx([(40 * -2 + 10 * logit(0.4)) / 50, (1 * 0.5 + 10 * logit(0.4)) / 11])


def test_a_code_whose_best_is_that_for_all_has_it_to_the_bit():
    of_all = 0.1 + 0.2
    found, positives = best_thresholds(sparse.csr_array([[1], [0]]), logit(np.array([[0.9], [0.1]])), of_all)
    assert shrunk(found, positives, of_all, 3.0).tolist() == [of_all]


def of_codes(biases: np.ndarray, n: int) -> tuple[sparse.csr_array, np.ndarray]:
    """Return gold and probabilities of codes whose logits are too high by a bias each."""
    random = np.random.default_rng(1)
    logits = random.normal(-1.5, 2, (n, len(biases)))
    gold = random.random(logits.shape) < expit(2 * logits)
    return sparse.csr_array(gold.astype(np.uint8)), expit(logits + biases).astype(np.float32)


def test_codes_with_scales_of_their_own_get_thresholds_of_their_own():
    gold, probabilities = of_codes(np.array([-2.0, -1, 0, 1, 2]), 400)
    found = choose(gold, probabilities, 0.4)
    assert found.strength < 100 and (np.diff(found.values) > 0).all()
    assert min(found.f1[found.strength]) > max(found.f1[np.inf])


def test_codes_on_one_scale_keep_the_threshold_for_all_or_stay_near_it():
    gold, probabilities = of_codes(np.zeros(30), 60)
    found = choose(gold, probabilities, 0.5)
    assert found.strength >= 10
    assert sum(found.f1[found.strength]) >= sum(found.f1[np.inf]) > sum(found.f1[0.0])


def test_a_dev_without_a_gold_code_or_of_few_documents_has_the_threshold_for_all():
    for n, gold in ((20, 0), (thresholds.FOLDS - 1, 1)):
        matrix = sparse.csr_array(np.full((n, 2), gold, np.uint8))
        matrix.eliminate_zeros()
        found = choose(matrix, np.full((n, 2), 0.3, np.float32), 0.4)
        assert (found.values.tolist(), found.strength, found.f1) == ([0.4, 0.4], np.inf, {})


def test_a_fold_may_hold_all_gold_codes():
    gold = np.zeros((10, 1), np.uint8)
    gold[[0, 5]] = 1  # both in the first of five folds
    found = choose(sparse.csr_array(gold), np.linspace(0.1, 0.9, 10, dtype=np.float32)[:, None], 0.4)
    assert np.isfinite(found.values).all() and len(found.f1) == len(thresholds.STRENGTHS)
