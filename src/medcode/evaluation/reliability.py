"""How well probabilities agree with the shares of right codes: Brier score, calibration error, reliability diagram."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15
# Nearly all decisions are codes that nobody would consider. So many of the most probable ones, for each gold code, are
# what a reader may see. A probability in their place would mean another thing for each model.
CONSIDERED = 2

COLUMNS = ("head", "probabilities", "bin", "decisions", "mean_probability", "share_right")


def brier_score(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Return the mean squared distance of the probability from 1 for a gold code and from 0 for another (Brier 1950).

    Args:
        probabilities: [n]; at least one.
        gold: whether each code is right, bool [n].
    """
    return float(np.mean((probabilities.astype(np.float64) - gold) ** 2))


def bins(probabilities: np.ndarray, gold: np.ndarray, number: int = BINS) -> list[dict[str, float]]:
    """Divide decisions by their probability into bins of the same number of decisions, up to one.

    Bins of equal width (Guo et al. 2017) would hold nearly all decisions in the first one; those of equal mass are of
    Nguyen and O'Connor 2015, and the adaptive calibration error of Nixon et al. 2019.

    Args:
        probabilities: [n].
        gold: whether each code is right, bool [n].
        number: of the bins; fewer if there are fewer decisions.

    Returns:
        For each bin: bin, from 1 on; decisions; mean_probability; share_right.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(number, len(order))) if len(order) else []
    return [
        {
            "bin": position,
            "decisions": len(part),
            "mean_probability": float(probabilities[part].mean(dtype=np.float64)),
            "share_right": float(gold[part].mean()),
        }
        for position, part in enumerate(parts, start=1)
    ]


def expected_calibration_error(of_bins: list[dict[str, float]]) -> float | None:
    """Return the mean distance of the mean probability from the share of right codes, weighted by decisions.

    Source: Naeini et al. 2015; Guo et al. 2017, equation 3. None without a decision.
    """
    total = sum(part["decisions"] for part in of_bins)
    gaps = (part["decisions"] * abs(part["mean_probability"] - part["share_right"]) for part in of_bins)
    return sum(gaps) / total if total else None


def considered(probabilities: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return which decisions are the most probable ones, `CONSIDERED` times as many as there are gold codes; bool [n].

    An increasing map changes no rank, so all calibrations of a model are compared on the same decisions.

    Args:
        probabilities: the model's own [n].
        gold: whether each code is right, bool [n].
    """
    chosen = np.zeros(len(probabilities), bool)
    chosen[np.argsort(-probabilities, kind="stable")[: CONSIDERED * int(gold.sum())]] = True
    return chosen


def measures(probabilities: np.ndarray, gold: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
    """Measure the probabilities of a head, all decisions pooled.

    Args:
        probabilities: [n]; at least one.
        gold: whether each code is right, bool [n].
        shown: the result of `considered`.

    Returns:
        brier: over all decisions. ece: over all. ece_considered: over those of `shown`; None if there is none.
    """
    return {
        "brier": brier_score(probabilities, gold),
        "ece": expected_calibration_error(bins(probabilities, gold)),
        "ece_considered": expected_calibration_error(bins(probabilities[shown], gold[shown])),
    }
