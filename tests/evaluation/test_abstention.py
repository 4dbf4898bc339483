"""Risk against coverage, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medcode.evaluation import abstention
from medcode.evaluation.abstention import Curve, expected_f1, f1_of_most_confident, of_codes, of_notes
from medcode.evaluation.metrics import Counts

# Three notes: two of two right; one of two right and one missed; none of one right and one missed.
NOTES = Counts(np.array([2, 1, 0]), np.array([2, 2, 1]), np.array([2, 2, 1]))
CONFIDENCE = np.array([0.5, 0.9, 0.1])


def test_risks_by_hand():
    curve = of_codes(np.array([0.6, 0.9, 0.8, 0.7]), np.array([0, 1, 0, 1], bool))
    assert curve.risks == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert [curve.coverage(risk) for risk in (0, 0.1, 0.34, 0.5)] == [0.25, 0.25, 0.75, 1]


def test_a_risk_that_no_coverage_has():
    assert of_codes(np.array([0.9, 0.8]), np.array([0, 1], bool)).coverage(0.1) == 0


def test_the_precision_asked_for_counts_when_it_is_reached_exactly():
    curve = of_codes(np.linspace(1, 0.5, 10), np.arange(10) < 9)
    assert curve.coverage(1 - 0.9) == 1


def test_notes_by_hand():
    assert of_notes(CONFIDENCE, NOTES).risks == pytest.approx([1 / 2, 1 / 4, 1 / 2])
    assert f1_of_most_confident(CONFIDENCE, NOTES, 1) == pytest.approx(2 * 3 / 10)
    assert f1_of_most_confident(CONFIDENCE, NOTES, 0.67) == pytest.approx(2 * 3 / 8)
    assert f1_of_most_confident(CONFIDENCE, NOTES, 0.01) == pytest.approx(1 / 2), "one note at least"


def test_the_promised_f1_by_hand():
    probabilities = np.array([[0.9, 0.6, 0.1], [0.2, 0.1, 0.0]])
    predicted = probabilities > 0.5
    assert expected_f1(probabilities, predicted) == pytest.approx([2 * 1.5 / (2 + 1.6), 0])


def test_the_promised_f1_is_near_the_mean_f1_of_notes_drawn_by_the_probabilities():
    random = np.random.default_rng(0)
    probabilities = random.beta(0.3, 1, 40)
    predicted = probabilities > 0.4
    drawn = random.random((4000, 40)) < probabilities
    mean = np.mean(2 * (drawn & predicted).sum(axis=1) / (predicted.sum() + drawn.sum(axis=1)))
    assert expected_f1(probabilities[None], predicted[None])[0] == pytest.approx(mean, abs=0.02)


def test_points_of_the_curve():
    points = Curve.of(-np.arange(100.0), np.arange(100) >= 50).points()
    assert len(points) == abstention.POINTS and points[0] == {"coverage": 0.02, "risk": 0}
    assert points[-1] == {"coverage": 1, "risk": 0.5} and points[24]["risk"] == 0


def test_nothing_predicted_is_no_error():
    curve = of_codes(np.zeros(0), np.zeros(0, bool))
    found = abstention.measures(curve, of_notes(CONFIDENCE, NOTES), CONFIDENCE, NOTES)
    assert found["codes"] == {"area": None, "coverage_at_precision_90": 0} and curve.points() == []
    assert found["notes"]["f1_micro_at_coverage_100"] == pytest.approx(0.6)
