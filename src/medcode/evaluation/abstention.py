"""Risk against coverage: how many codes or notes may go without a coder, and how many mistakes remain in them.

Sources: El-Yaniv and Wiener 2010 for risk and coverage, Geifman and El-Yaniv 2017 and Geifman et al. 2019 for the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medcode.evaluation.metrics import Counts, ratio

POINTS = 50  # of a curve
PRECISION = 90  # per cent, that is asked of codes without a coder
SHARES = (100, 80, 50)  # per cent of the notes, the most confident

COLUMNS = ("head", "of", "coverage", "risk")


@dataclass(frozen=True)
class Curve:
    """The selective risk at every coverage.

    Attributes:
        risks: mean loss of the k most confident items, for each k from 1 on, float64 [n].
    """

    risks: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, losses: np.ndarray) -> Curve:
        """Return the curve of items with a confidence [n] and a loss [n]; among equals the first comes first."""
        ordered = losses[np.argsort(-confidence, kind="stable")]
        return cls(np.cumsum(ordered, dtype=np.float64) / np.arange(1, len(ordered) + 1))

    @property
    def area(self) -> float | None:
        """The mean risk over all coverages, lower is better; None without an item."""
        return float(self.risks.mean()) if len(self.risks) else None

    def coverage(self, risk: float) -> float:
        """Return the largest coverage whose risk is at most this; 0 if there is none."""
        fit = np.flatnonzero(self.risks <= risk + 1e-12)
        return float((fit[-1] + 1) / len(self.risks)) if len(fit) else 0.0

    def points(self) -> list[dict[str, float]]:
        """Return risk at `POINTS` coverages, evenly spaced up to 1; none without an item."""
        if not len(self.risks):
            return []
        shares = np.arange(1, POINTS + 1) / POINTS
        kept = np.maximum(np.rint(shares * len(self.risks)).astype(int), 1)
        return [
            {"coverage": share, "risk": risk}
            for share, risk in zip(shares.tolist(), self.risks[kept - 1].tolist(), strict=True)
        ]


def of_codes(probabilities: np.ndarray, gold: np.ndarray) -> Curve:
    """Return the curve of the predicted codes, the most probable first. A wrong code is a loss of 1.

    Args:
        probabilities: of the predicted codes [n].
        gold: whether each is right, bool [n].
    """
    return Curve.of(probabilities, 1.0 - gold)


def expected_f1(probabilities: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the confidence of each note: the F1 of its predicted codes that its probabilities promise, float64 [n].

    It is the expected number of right codes, twice, by the number of predicted and of expected gold ones; the ratio of
    expectations stands for the expectation of the ratio (Lewis 1995). 0 for a note without a predicted code.

    Args:
        probabilities: calibrated where they can be, [n, Y].
        predicted: bool [n, Y].
    """
    right = np.where(predicted, probabilities, 0).sum(axis=1, dtype=np.float64)
    return ratio(2 * right, predicted.sum(axis=1) + probabilities.sum(axis=1, dtype=np.float64))


def of_notes(confidence: np.ndarray, documents: Counts) -> Curve:
    """Return the curve of notes, whose loss is 1 - F1.

    Args:
        confidence: of each note [n].
        documents: of each note.
    """
    return Curve.of(confidence, 1 - ratio(2 * documents.true_positives, documents.predicted + documents.gold))


def f1_of_most_confident(confidence: np.ndarray, documents: Counts, share: float) -> float:
    """Return micro F1 over a share of the notes, the most confident; at least one note.

    Args:
        confidence: of each note [n].
        documents: of each note.
        share: of the notes.
    """
    kept = documents[np.argsort(-confidence, kind="stable")[: max(round(share * len(confidence)), 1)]]
    return float(ratio(2 * kept.true_positives.sum(), kept.predicted.sum() + kept.gold.sum()))


def measures(codes: Curve, notes: Curve, confidence: np.ndarray, documents: Counts) -> dict[str, Any]:
    """Return the numbers of both curves, as in metrics/test.json.

    Args:
        codes: of the predicted codes.
        notes: of the notes.
        confidence: of each note [n].
        documents: of each note.
    """
    return {
        "codes": {"area": codes.area, f"coverage_at_precision_{PRECISION}": codes.coverage(1 - PRECISION / 100)},
        "notes": {"area": notes.area}
        | {
            f"f1_micro_at_coverage_{share}": f1_of_most_confident(confidence, documents, share / 100)
            for share in SHARES
        },
    }
