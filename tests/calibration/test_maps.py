"""Maps of probabilities: what they recover, that they increase, and when they leave all as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from medcode.calibration import maps
from medcode.inference.calibration import Identity, Isotonic, Temperature, log_odds

METHODS = ("temperature", "isotonic")


def simulated(n: int, temperature: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose calibrated ones are sigmoid(logit / temperature + bias), and gold drawn by these."""
    random = np.random.default_rng(0)
    logits = random.normal(-2, 3, n)
    gold = random.random(n) < expit(logits / temperature + bias)
    return expit(logits).astype(np.float32), gold


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, 0.0), (0.6, -0.4), (1.8, 1.0)])
def test_temperature_and_bias_are_recovered(temperature, bias):
    found = maps.fit_temperature(*simulated(200_000, temperature, bias))
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.bias == pytest.approx(bias, abs=0.05)


def test_the_temperature_is_that_of_a_logistic_regression():
    probabilities, gold = simulated(5_000, 2.0, 0.5)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds(probabilities)[:, None], gold)
    found = maps.fit_temperature(probabilities, gold)
    assert 1 / found.temperature == pytest.approx(oracle.coef_[0, 0], rel=5e-3)  # Platt's targets differ a little
    assert found.bias == pytest.approx(oracle.intercept_[0], abs=0.01)


def test_a_dev_that_is_told_apart_without_a_mistake_has_a_finite_temperature():
    probabilities = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9, 0.95, 1.0], np.float32)
    found = maps.fit_temperature(probabilities, probabilities > 0.5)
    calibrated = found(probabilities)
    assert 0.1 < found.temperature < 10 and ((calibrated > 0) & (calibrated < 1)).all()


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=12, max_size=60), st.sampled_from(METHODS))
def test_maps_increase_and_are_probabilities(decisions, method):
    probabilities, gold = (np.array(column) for column in zip(*decisions, strict=True))
    probabilities = (probabilities / 1000).astype(np.float32)
    found = maps.fit(method, probabilities, gold).map
    grid = np.linspace(0, 1, 2001, dtype=np.float32)
    calibrated = found(grid)
    assert calibrated.dtype == np.float32 and (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    if isinstance(found, Isotonic):  # no flat part
        exact = np.interp(grid.astype(np.float64), found.x, found.y)
        assert (np.diff(exact) > 0).all() and (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (0, 1, 0, 1)


def test_the_curve_runs_through_the_centers_of_the_blocks_of_isotonic_regression():
    probabilities = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], np.float32)
    gold = np.array([0, 1, 0, 1, 1, 0, 1, 1], bool)
    # Pooled by hand: 0 | 1 0 | 1 1 0 | 1 1, with the means 0, 1/2, 2/3, 1.
    found = maps.fit_isotonic(probabilities, gold)
    assert found.x == pytest.approx([0, 0.1, 0.25, 0.5, 0.75, 1], abs=1e-7)
    assert found.y == pytest.approx([0, 0.25, 1 / 2, 2 / 3, 1 - 1 / 6, 1])  # 1 / (1 + 2) is above half of 1/2
    oracle = IsotonicRegression().fit(probabilities, gold)
    assert found.y[2:4] == pytest.approx(oracle.predict([0.25, 0.5]))


def test_equal_probabilities_are_one_point():
    probabilities, gold = np.array([0.2] * 4 + [0.6] * 4, np.float32), np.array([0, 0, 0, 1, 1, 1, 0, 1], bool)
    found = maps.fit_isotonic(probabilities, gold)
    assert found.x == pytest.approx([0, 0.2, 0.6, 1]) and found.y == [0, 0.25, 0.75, 1]


def test_calibration_mends_what_is_too_sure():
    probabilities, gold = simulated(50_000, 3.0, 0.0)
    sure = probabilities > 0.99
    for method in METHODS:
        calibrated = maps.fit(method, probabilities, gold).map(probabilities)
        assert abs(calibrated[sure].mean() - gold[sure].mean()) < 0.01 < probabilities[sure].mean() - gold[sure].mean()


@pytest.mark.parametrize("method", ["none", *METHODS])
@pytest.mark.parametrize("gold", [[], [True] * 4 + [False] * 30, [False] * 20, [True] * 20], ids=len)
def test_too_few_gold_codes_leave_probabilities_as_they_are(method, gold):
    values = np.linspace(0, 1, len(gold), dtype=np.float32).reshape(-1, 1)
    found = maps.fit(method, values, np.array(gold, bool).reshape(-1, 1))
    assert isinstance(found.map, Identity) and found.map(values) is values


def test_enough_do_not():
    values, gold = np.linspace(0, 1, 20, dtype=np.float32), np.arange(20) >= 15
    kinds = {method: type(maps.fit(method, values, gold).map) for method in ("none", *METHODS)}
    assert kinds == {"none": Identity, "temperature": Temperature, "isotonic": Isotonic}
