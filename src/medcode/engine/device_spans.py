"""Spans of the gold labels of a split on the model's device, so that batches are gathered without the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class DeviceSpans:
    """Gold labels with spans, of the documents of a split under one head, in memory of the device.

    Every document is padded to M labels and S spans, the most that one has, so that the shapes of a batch depend on
    the number and the length of its documents alone.

    Args:
        spans: document, label, first and behind, int64 [K, 4], as in `dataset.arrays.Split`.
        documents: their number n.
        device: of the batches.
    """

    def __init__(self, spans: np.ndarray, documents: int, device: torch.device) -> None:
        pairs, pair_of_span = np.unique(spans[:, :2], axis=0, return_inverse=True)
        place, counts = _places(pairs[:, 0], documents)
        labels = np.zeros((documents, counts.max(initial=0)), np.int64)
        labels[pairs[:, 0], place] = pairs[:, 1]
        span_place, span_counts = _places(spans[:, 0], documents)
        # The place of the label among those of the document, first, and behind; nothing lies between 0 and 0.
        padded = np.zeros((documents, span_counts.max(initial=0), 3), np.int32)
        padded[spans[:, 0], span_place] = np.column_stack([place[pair_of_span.ravel()], spans[:, 2:]])
        self._labels, self._counts, self._spans = (torch.from_numpy(x).to(device) for x in (labels, counts, padded))

    def labels(self, documents: Tensor) -> Tensor:
        """Return the labels with spans of some documents, padded with 0, int64 [B, M].

        Args:
            documents: their indices, int64 [B], on the device.
        """
        return self._labels[documents]

    def counts(self, documents: Tensor) -> Tensor:
        """Return the number of labels with spans of some documents, int64 [B]."""
        return self._counts[documents]

    def tokens(self, documents: Tensor, length: int) -> Tensor:
        """Return which tokens lie in a span of each label of `labels`, bool [B, M, N]; none for padding.

        Args:
            documents: their indices, int64 [B], on the device.
            length: N, the length that they are padded to.
        """
        place, first, behind = self._spans[documents].unsqueeze(-1).unbind(2)  # [B, S, 1] each
        token = torch.arange(length, device=documents.device)
        in_span = (first <= token) & (token < behind)  # [B, S, N]
        of_label = place == torch.arange(self._labels.shape[1], device=documents.device)  # [B, S, M]
        return (of_label.float().transpose(1, 2) @ in_span.float()) > 0


def _places(documents: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each row among those of its document, and the number of rows of each of n documents.

    Args:
        documents: of each row, ascending.
    """
    counts = np.bincount(documents, minlength=n)
    return np.arange(len(documents)) - (np.cumsum(counts) - counts)[documents], counts
