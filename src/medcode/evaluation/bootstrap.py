"""Bootstrap over documents: how often each document is in a resample, and F1 of every resample at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from medcode.evaluation.metrics import MacroF1, ratio

RESAMPLES = 1000  # of the intervals on the report page; studies take more
BLOCK = 200  # resamples at a time
COVERAGE = 0.95  # of intervals


def document_weights(documents: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each document is in each resample, float64 [resamples, documents], block by block.

    Args:
        documents: number of documents, of which each resample draws as many with replacement.
        resamples: number of resamples.
        seed: seed of the sampling.
    """
    random = np.random.default_rng(seed)
    share = np.full(documents, 1 / documents)
    for size in np.diff([*range(0, resamples, BLOCK), resamples]):
        yield random.multinomial(documents, share, size=size).astype(np.float64)


def weighted(weights: np.ndarray, matrix: sparse.csr_array) -> np.ndarray:
    """Return the column sums of a matrix [n, Y] in each resample, [resamples, Y]."""
    return (matrix.astype(np.float64).T @ weights.T).T


def f1_micro(true_positives: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return the micro F1 of each resample, from counts [resamples, labels], or summed over labels [resamples, 1]."""
    return ratio(2 * true_positives.sum(1), predicted.sum(1) + gold.sum(1))


def f1_macro(true_positives: np.ndarray, predicted: np.ndarray, gold: np.ndarray, definition: MacroF1) -> np.ndarray:
    """Return the macro F1 of each resample, from counts [resamples, labels]; the definitions of `metrics.f1_macro`."""
    if definition == "caml":
        precision, recall = ratio(true_positives, predicted).mean(1), ratio(true_positives, gold).mean(1)
        return ratio(2 * precision * recall, precision + recall)
    f1 = ratio(2 * true_positives, predicted + gold)
    present = gold > 0 if definition == "per_label_present" else np.ones_like(gold, bool)
    return ratio((f1 * present).sum(1), present.sum(1))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of the percentile interval of `COVERAGE` of the values of all resamples."""
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)
