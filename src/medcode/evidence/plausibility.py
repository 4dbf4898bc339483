"""Plausibility: how well the weights of tokens agree with the spans that people marked.

Source: Edin et al. 2024, "An Unsupervised Approach to Achieve Supervised-Level Explainability in Healthcare Records",
section 4.3, and its code. Counts are over tokens: words for a model on words, subwords for one on subwords.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# The paper's code tries 0 to 0.1 on dev; in short notes and sentences the best threshold is often higher.
THRESHOLDS = np.concatenate([np.linspace(0, 0.1, 101), np.linspace(0.11, 0.99, 89)])
MEASURES = (
    "precision", "recall", "f1", "auprc", "iou", "precision_at_1", "span_recall", "tokens", "without_tokens",
)  # fmt: skip
CURVE = np.linspace(0, 1, 101)[::-1]  # thresholds of the curve of precision and recall; they fall, so recall rises


class Explanation(NamedTuple):
    """The weights of a note's tokens for one code, beside the tokens of its gold spans.

    Attributes:
        shares: of each token in all weight that speaks for the code [N]; see `shares`.
        gold: which tokens the code's spans overlap, bool [N]; at least one.
    """

    shares: np.ndarray
    gold: np.ndarray


def shares(weights: np.ndarray) -> np.ndarray:
    """Return each token's share of the positive weight of its row; zero where no weight is positive.

    Shapes: [..., N] -> float64 [..., N].
    """
    positive = np.maximum(weights.astype(np.float64), 0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)


def tune(explanations: Sequence[Explanation]) -> float:
    """Return the threshold with the highest F1, the lowest if there are several.

    Args:
        explanations: of dev; at least one.
    """
    precision, recall = _precision_recall(explanations, THRESHOLDS)
    return float(THRESHOLDS[np.argmax(_f1(precision, recall))])


def plausibility(explanations: Sequence[Explanation], threshold: float | None) -> dict[str, float | None]:
    """Return the measures of plausibility; all None without a threshold or explanations.

    Args:
        explanations: of gold codes.
        threshold: tokens with a larger share are evidence.

    Returns:
        explanations: their number.
        precision, recall, f1: of tokens, over all explanations together.
        auprc: area under the curve of precision and recall over thresholds from 0 to 1, likewise.
        iou: mean overlap of the gold tokens and as many tokens with the largest shares, intersection over union. Of
            equal shares the earlier ones are larger, as for `precision_at_1`.
        precision_at_1: share of explanations whose heaviest token is gold.
        span_recall: mean share of the gold spans, which are runs of gold tokens, with a token of evidence.
        tokens: mean number of tokens of evidence.
        without_tokens: share of explanations without any.
    """
    if threshold is None or not explanations:
        return {"explanations": len(explanations), **dict.fromkeys(MEASURES)}
    precision, recall = (float(x[0]) for x in _precision_recall(explanations, np.array([threshold])))
    chosen = [of_code.shares > threshold for of_code in explanations]
    best = [np.argsort(-of_code.shares, kind="stable") for of_code in explanations]
    return {
        "explanations": len(explanations),
        "precision": precision,
        "recall": recall,
        "f1": float(_f1(precision, recall)),
        "auprc": float(np.trapezoid(*_precision_recall(explanations, CURVE))),
        "iou": float(np.mean([_iou(of_code.gold, order) for of_code, order in zip(explanations, best, strict=True)])),
        "precision_at_1": float(
            np.mean([of_code.gold[order[0]] for of_code, order in zip(explanations, best, strict=True)])
        ),
        "span_recall": float(
            np.mean([_span_recall(of_code.gold, tokens) for of_code, tokens in zip(explanations, chosen, strict=True)])
        ),
        "tokens": float(np.mean([tokens.sum() for tokens in chosen])),
        "without_tokens": float(np.mean([not tokens.any() for tokens in chosen])),
    }


def _precision_recall(explanations: Sequence[Explanation], thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of the tokens above each threshold, both zero where no token is."""
    of_all = np.concatenate([of_code.shares for of_code in explanations])
    of_gold = np.concatenate([of_code.shares[of_code.gold] for of_code in explanations])
    chosen, hits = (
        len(values) - np.searchsorted(np.sort(values), thresholds, side="right") for values in (of_all, of_gold)
    )
    return hits / np.maximum(chosen, 1), hits / len(of_gold)


def _f1(precision: np.ndarray | float, recall: np.ndarray | float) -> np.ndarray:
    total = np.asarray(precision) + np.asarray(recall)
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def _iou(gold: np.ndarray, order: np.ndarray) -> float:
    n = int(gold.sum())
    both = int(gold[order[:n]].sum())
    return both / (2 * n - both)


def _span_recall(gold: np.ndarray, chosen: np.ndarray) -> float:
    starts = np.flatnonzero(np.diff(gold.astype(np.int8), prepend=0) == 1)
    return float(np.mean(np.logical_or.reduceat(chosen & gold, starts)))
