"""Probabilities from features: a logistic regression whose weights have a sign where the feature must have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

INVERSE_PENALTY = 0.1  # C of scikit-learn
# Fewer positives say too little: the probability would be a guess.
MIN_POSITIVES = 5


@dataclass(frozen=True)
class Calibration:
    """A logistic regression.

    Attributes:
        weights: float64 [F].
        bias: added to the weighted sum.
    """

    weights: np.ndarray
    bias: float

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each row, float32 [...], of features [..., F]."""
        return expit(features @ self.weights + self.bias).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as plain values; `from_json` reads them."""
        return {"weights": self.weights.tolist(), "bias": self.bias}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Calibration:
        """Return the calibration of `as_json`."""
        return cls(np.array(values["weights"], np.float64), float(values["bias"]))


def fit(features: np.ndarray, gold: np.ndarray, increasing: np.ndarray) -> Calibration | None:
    """Fit a calibration, with an L2 penalty on the weights of the standardized features.

    The objective is that of scikit-learn's LogisticRegression, which cannot bound weights.

    Args:
        features: float [R, F].
        gold: whether each row is right, bool [R].
        increasing: features whose weight must not be negative, bool [F]: a higher value then never lowers the
            probability.

    Returns:
        None with fewer than `MIN_POSITIVES` right rows.
    """
    if gold.sum() < MIN_POSITIVES:
        return None
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1
    rows, signs = (features - mean) / scale, np.where(gold, 1.0, -1.0)

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights = parameters[:-1]
        margins = signs * (rows @ weights + parameters[-1])
        slopes = -INVERSE_PENALTY * signs * expit(-margins)
        loss = INVERSE_PENALTY * np.logaddexp(0, -margins).sum() + weights @ weights / 2
        return loss, np.append(rows.T @ slopes + weights, slopes.sum())

    start = np.zeros(rows.shape[1] + 1)
    start[-1] = np.log(gold.mean() / max(1 - gold.mean(), 1e-6))
    bounds = [(0, None) if at_least_zero else (None, None) for at_least_zero in increasing] + [(None, None)]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[:-1] / scale
    return Calibration(weights, float(found[-1] - weights @ mean))
