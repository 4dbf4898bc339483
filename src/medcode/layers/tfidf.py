"""TF-IDF of words and of pairs of adjacent words, computed from token ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from medcode.layers.masks import position_mask

NO_KEY = torch.iinfo(torch.int64).max


class SparseRows(NamedTuple):
    """Rows of a sparse matrix in CSR form: feature numbers int64 [nnz], values fp32 [nnz], starts of rows int64 [B]."""

    numbers: Tensor
    values: Tensor
    starts: Tensor


def document_keys(tokens: Tensor, lengths: Tensor, rows: int) -> Tensor:
    """Return a number for each word and each pair of adjacent words, 0 at padding.

    A word has its id as number, and a pair a, b has a V + b, which is larger than every id: 0 is padding, no word.

    Args:
        tokens: ids of words, padded, int64 [B, N].
        lengths: number of words of each document, int [B].
        rows: V, number of ids.

    Shapes: -> int64 [B, 2 N - 1].
    """
    real = position_mask(lengths, tokens.shape[1])
    words = torch.where(real, tokens, 0)
    pairs = torch.where(real[:, 1:], words[:, :-1] * rows + words[:, 1:], 0)
    return torch.cat([words, pairs], 1)


def choose_features(
    batches: Iterable[tuple[Tensor, Tensor]], rows: int, min_documents: int, max_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the words and pairs of the training documents that are features.

    Args:
        batches: tokens and lengths of the training documents, as for `document_keys`.
        rows: number of ids.
        min_documents: a feature occurs in at least so many documents.
        max_features: number of features to keep; those in most documents, words and low ids first among equals.

    Returns:
        Keys of the features, ascending int64 [F], and their smoothed idf, log((1 + n) / (1 + d)) + 1, float64 [F];
        d of the n documents have the feature.
    """
    n, keys = 0, [np.zeros(0, np.int64)]
    for tokens, lengths in batches:
        n += len(lengths)
        keys += [np.unique(row) for row in document_keys(tokens, lengths, rows).cpu().numpy()]
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    often = (counts >= min_documents) & (found > 0)
    found, counts = found[often], counts[often]
    kept = np.sort(np.argsort(-counts, kind="stable")[:max_features])
    return found[kept], np.log((1 + n) / (1 + counts[kept])) + 1


class TfIdf(nn.Module):
    """TF-IDF of a document's words and pairs of adjacent words, a unit vector or, without any feature, zero.

        v_f = (1 + log(count of f)) idf_f,   x = v / |v|

    The same as scikit-learn's TfidfVectorizer with `sublinear_tf`. Buffers: `keys`, the ascending numbers of the
    features (`document_keys`), and `idf`. Both end with an entry for what is no feature.

    Args:
        rows: V, number of ids of words.
        size: F, number of features.

    Shapes: int [B, N], int [B] -> `SparseRows` with the features of each row in ascending order.
    """

    keys: Tensor
    idf: Tensor

    def __init__(self, rows: int, size: int) -> None:
        super().__init__()
        self.rows = rows
        self.register_buffer("keys", torch.full((size + 1,), NO_KEY))
        self.register_buffer("idf", torch.zeros(size + 1))

    @torch.no_grad()
    def set_features(self, keys: np.ndarray, idf: np.ndarray) -> None:
        """Set the features, as `choose_features` returns them."""
        self.keys[:-1] = torch.from_numpy(keys)
        self.idf[:-1] = torch.from_numpy(idf)

    @torch.no_grad()
    def forward(self, tokens: Tensor, lengths: Tensor) -> SparseRows:
        keys = document_keys(tokens, lengths, self.rows)
        numbers = torch.searchsorted(self.keys, keys)
        numbers = torch.where(self.keys[numbers] == keys, numbers, len(self.keys) - 1).sort(dim=1).values
        counts = torch.searchsorted(numbers, numbers, right=True) - torch.searchsorted(numbers, numbers)
        is_first = torch.ones_like(numbers, dtype=torch.bool)
        is_first[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
        values = torch.where(is_first, (1 + counts.to(self.idf.dtype).log()) * self.idf[numbers], 0)
        norms = values.square().sum(1, keepdim=True).sqrt()
        kept = is_first & (numbers < len(self.keys) - 1)
        per_row = kept.sum(1)
        return SparseRows(numbers[kept], (values / norms)[kept], per_row.cumsum(0) - per_row)
