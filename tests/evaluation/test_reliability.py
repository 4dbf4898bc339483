"""Brier score and calibration error, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from medcode.evaluation import reliability
from medcode.evaluation.reliability import bins, brier_score, considered, expected_calibration_error

PROBABILITIES = np.array([0.9, 0.1, 0.8, 0.3, 0.7, 0.2], np.float32)
GOLD = np.array([1, 0, 1, 0, 0, 1], bool)


def test_brier_score_by_hand():
    assert brier_score(PROBABILITIES, GOLD) == pytest.approx((0.01 + 0.01 + 0.04 + 0.09 + 0.49 + 0.64) / 6)
    assert brier_score(PROBABILITIES, GOLD) == pytest.approx(brier_score_loss(GOLD, PROBABILITIES))


def test_bins_hold_as_many_decisions_each():
    found = bins(PROBABILITIES, GOLD, 3)
    assert [(part["bin"], part["decisions"]) for part in found] == [(1, 2), (2, 2), (3, 2)]
    assert [part["mean_probability"] for part in found] == pytest.approx([0.15, 0.5, 0.85])
    assert [part["share_right"] for part in found] == [0.5, 0, 1]


def test_calibration_error_by_hand():
    assert expected_calibration_error(bins(PROBABILITIES, GOLD, 3)) == pytest.approx((0.35 + 0.5 + 0.15) / 3)
    # Of 5 decisions in 2 bins the first has 3.
    values, gold = np.array([0.1, 0.2, 0.3, 0.6, 0.8]), np.array([0, 0, 1, 1, 1], bool)
    assert expected_calibration_error(bins(values, gold, 2)) == pytest.approx((3 * (1 / 3 - 0.2) + 2 * 0.3) / 5)


def test_probabilities_that_are_what_they_say_have_a_small_error():
    random = np.random.default_rng(0)
    values = random.random(100_000)
    right = random.random(100_000) < values
    assert expected_calibration_error(bins(values, right)) < 0.01
    assert expected_calibration_error(bins(values**3, right)) > 0.2


def test_considered_are_the_most_probable_twice_as_many_as_gold_codes():
    gold = np.array([True, False, False, False])
    assert considered(np.array([0.01, 0.9, 0.05, 0.8]), gold).tolist() == [False, True, False, True]
    assert considered(np.array([0.1, 0.2]), np.array([True, True])).all()
    assert considered(np.array([0.1] * 5), np.array([True] + [False] * 4)).sum() == 2, "not more for ties"


def test_without_a_considered_decision_that_error_is_undefined():
    values, gold = np.array([0.01, 0.02]), np.zeros(2, bool)
    found = reliability.measures(values, gold, considered(values, gold))
    assert found["ece_considered"] is None and found["ece"] == pytest.approx((0.01 + 0.02) / 2)
    assert bins(values[:0], np.zeros(0, bool)) == []
