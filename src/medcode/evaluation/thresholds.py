"""The threshold above which a code is predicted, chosen on dev."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError
from medcode.evaluation.metrics import check_scores, ratio, row_numbers


def tune_threshold(
    gold: sparse.spmatrix | sparse.sparray | np.ndarray, scores: np.ndarray, grid: int, missed: int = 0
) -> float:
    """Find the threshold with the best micro F1, one for all labels, as Edin et al. (2023) do.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 or float64 [documents, labels].
        grid: number of thresholds, evenly spaced from 0 to 1 with both ends, in float32.
        missed: number of gold codes outside the label set, counted as false negatives.

    Returns:
        The best threshold; the lowest among equals. Exact in float32.

    Raises:
        UserError: there is no gold code to tune on, or a score is not a probability.
    """
    thresholds, f1 = sweep(gold, scores, grid, missed)
    return float(thresholds[np.argmax(f1)])


def sweep(
    gold: sparse.spmatrix | sparse.sparray | np.ndarray, scores: np.ndarray, grid: int, missed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return micro F1 at every threshold of the grid.

    The scores are sorted once, and each threshold is looked up by bisection. That spares a pass over the matrix each.

    Returns:
        The thresholds, float32 [grid], and their micro F1, float64 [grid].
    """
    gold = as_binary_csr(gold)
    check_scores(gold, scores)
    if not gold.nnz:
        raise UserError("tuning the threshold: no document has a gold code; enlarge dev (split.dev_share)")
    thresholds = np.linspace(0, 1, grid).astype(np.float32)
    predicted = _above(np.sort(scores, axis=None), thresholds)
    true_positives = _above(np.sort(scores[row_numbers(gold), gold.indices]), thresholds)
    return thresholds, ratio(2 * true_positives, predicted + gold.nnz + missed)


def _above(ordered: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return len(ordered) - np.searchsorted(ordered, thresholds.astype(ordered.dtype), side="right")
