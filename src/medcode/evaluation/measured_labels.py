"""Which labels and documents are measured: all, or those with gold codes in the split."""

from __future__ import annotations

from typing import Any

import numpy as np

from medcode.config import Evaluation
from medcode.dataset.binary_csr import as_binary_csr
from medcode.evaluation.monitor import Gold


def measured(gold: Gold, scores: np.ndarray, options: Evaluation, *of_labels: np.ndarray) -> tuple[Any, ...]:
    """Return the gold labels and scores that are measured, as `labels` of the options says.

    `present` leaves out labels without a gold document and documents without a gold label. So do Edin et al. (2023) and
    JAMS, whose code is theirs, in every metric but AUC: there it puts the value over all labels in the place of the
    filtered one (metrics.py, MetricCollection.filter_batch and compute).

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, [documents, labels].
        options: `labels`, all or present.
        of_labels: further arrays [labels].

    Returns:
        Gold labels, scores and the further arrays of the measured documents and labels; with `all` they are the
        arguments.
    """
    if options.labels == "all":
        return gold, scores, *of_labels
    matrix = as_binary_csr(gold)
    labels, documents = np.unique(matrix.indices), np.flatnonzero(np.diff(matrix.indptr))
    return matrix[documents][:, labels], scores[np.ix_(documents, labels)], *(values[labels] for values in of_labels)
