"""The logistic regression: scikit-learn as an oracle, and weights that keep their sign."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from medcode.open_codes.calibration import INVERSE_PENALTY, MIN_POSITIVES, Calibration, fit


def rows(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    features = random.normal(size=(n, 3)) * [1, 5, 0.1] + [0, 2, -1]
    return features, random.random(n) < 1 / (1 + np.exp(-features[:, 0] + 0.3 * features[:, 1]))


def test_without_bounds_it_is_scikit_learns():
    features, gold = rows()
    scale = features.std(axis=0)
    oracle = LogisticRegression(C=INVERSE_PENALTY, tol=1e-8).fit((features - features.mean(axis=0)) / scale, gold)
    found = fit(features, gold, np.zeros(3, bool))
    assert found.weights * scale == pytest.approx(oracle.coef_[0], abs=1e-3)
    expected = oracle.predict_proba((features - features.mean(axis=0)) / scale)[:, 1]
    assert found.probabilities(features) == pytest.approx(expected, abs=1e-3)


def test_a_feature_that_must_not_lower_the_probability_never_does():
    features, gold = rows()
    assert fit(features, gold, np.zeros(3, bool)).weights[1] < -0.1
    found = fit(features, gold, np.array([True, True, False]))
    assert found.weights[0] > 0 and found.weights[1] == 0
    higher = features + np.array([1, 1, 0])
    assert (found.probabilities(higher) >= found.probabilities(features)).all()


def test_a_constant_feature_has_no_weight():
    features, gold = rows()
    features[:, 2] = 7
    assert fit(features, gold, np.ones(3, bool)).weights[2] == 0


def test_too_few_right_rows_give_none():
    features, gold = rows()
    few = np.arange(len(gold)) < MIN_POSITIVES - 1
    assert fit(features, few, np.ones(3, bool)) is None
    assert fit(features, np.arange(len(gold)) < MIN_POSITIVES, np.ones(3, bool)) is not None


def test_it_is_read_as_it_was_written():
    found = fit(*rows(), np.ones(3, bool))
    again = Calibration.from_json(found.as_json())
    assert np.array_equal(again.weights, found.weights) and again.bias == found.bias
