"""The words of titles and other short texts about codes, as ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def known_words(ids: np.ndarray, without: Sequence[int]) -> np.ndarray:
    """Return the ids of a text but for some, such as that of unknown words: int64 [N]."""
    return ids[~np.isin(ids, without)].astype(np.int64)


def padded(texts: Sequence[np.ndarray]) -> Tensor:
    """Return the words of texts as rows, padded with 0: int64 [M, T], T at least 1."""
    rows = pad_sequence([torch.from_numpy(ids) for ids in texts], batch_first=True)
    return rows if rows.shape[1] else rows.new_zeros(len(texts), 1)


def mean_vectors(table: Tensor, words: Sequence[np.ndarray]) -> Tensor:
    """Return the mean word vector of each text, zero for a text without words: [V, E], M texts -> [M, E]."""
    means = [table[torch.from_numpy(ids)].mean(0) if len(ids) else table.new_zeros(table.shape[1]) for ids in words]
    return torch.stack(means).detach()
