"""Maps from probabilities to calibrated ones, fitted over all decisions of a head together.

One map for all codes: a rare code has too few gold documents in dev for one of its own. Every map is increasing, so it
changes no ranking within a head.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from medcode.config import CalibrationMethod
from medcode.inference.calibration import HeadCalibration, Identity, Isotonic, Temperature, log_odds

# Fewer gold codes say too little: the probabilities stay as they are.
MIN_POSITIVES = 5
_SLOPES = 1e-3, 1e3  # of the logits, the inverse of the temperature


def fit(method: CalibrationMethod, probabilities: np.ndarray, gold: np.ndarray) -> HeadCalibration:
    """Fit the map of a head; the identity with fewer than `MIN_POSITIVES` gold codes, or without any other.

    Args:
        method: of params.yaml.
        probabilities: the model's own on dev, of any shape.
        gold: whether each code is right, bool, of the same shape.
    """
    values, right = probabilities.ravel(), gold.ravel()
    if method == "none" or right.sum() < MIN_POSITIVES or right.all():
        return HeadCalibration(map=Identity())
    found = fit_temperature(values, right) if method == "temperature" else fit_isotonic(values, right)
    return HeadCalibration(map=found)


def fit_temperature(probabilities: np.ndarray, gold: np.ndarray) -> Temperature:
    """Fit temperature and bias with the least binary cross entropy.

    Labels are independent decisions, so unlike in a softmax the temperature alone would leave every 0.5 as it is, and
    could not make up for a model that predicts too many codes or too few: hence the bias. The targets are those of
    Platt 1999, which keep the slope finite where dev is told apart without a mistake.

    Args:
        probabilities: the model's own [n].
        gold: whether each code is right, bool [n]; some are and some are not.
    """
    logits, positives = log_odds(probabilities), int(gold.sum())
    targets = np.where(gold, (positives + 1) / (positives + 2), 1 / (len(gold) - positives + 2))

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = parameters[0] * logits + parameters[1]
        slopes = expit(scores) - targets
        loss = np.logaddexp(0, scores) - targets * scores
        # A mean over the gold codes: nearly all decisions are easy, and would make every gradient look like zero.
        return loss.sum() / positives, np.array([slopes @ logits, slopes.sum()]) / positives

    bounds = [_SLOPES, (None, None)]
    slope, bias = minimize(objective, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}).x
    return Temperature(temperature=float(1 / slope), bias=float(bias))


def fit_isotonic(probabilities: np.ndarray, gold: np.ndarray) -> Isotonic:
    """Fit an increasing curve by isotonic regression, without flat parts.

    The regression pools neighbors into blocks of equal value (Zadrozny and Elkan 2002). Between the centers of blocks
    the curve is linear, which breaks the ties within them (centered isotonic regression, Oron and Flournoy 2017). A
    first block without gold codes gets the share of the rule of succession, a last one without others likewise.

    Args:
        probabilities: the model's own [n].
        gold: whether each code is right, bool [n]; some are and some are not.
    """
    x, group, counts = np.unique(probabilities.astype(np.float64), return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=gold) / counts
    blocks = isotonic_regression(share, weights=counts).blocks
    sizes = np.add.reduceat(counts, blocks[:-1])
    centers = np.add.reduceat(x * counts, blocks[:-1]) / sizes
    values = np.add.reduceat(share * counts, blocks[:-1]) / sizes
    if values[0] == 0:
        values[0] = min(1 / (sizes[0] + 2), values[1] / 2)
    if values[-1] == 1:
        values[-1] = max(1 - 1 / (sizes[-1] + 2), (1 + values[-2]) / 2)
    points = np.stack([centers, values])
    points = points[:, (points > 0).all(axis=0) & (points < 1).all(axis=0)]
    x_all, y_all = (np.concatenate([[0.0], row, [1.0]]) for row in points)
    rises = np.concatenate([[True], (np.diff(x_all) > 0) & (np.diff(y_all) > 0)])
    return Isotonic(x=x_all[rises].tolist(), y=y_all[rises].tolist())
