"""Batches of documents of like length, as a pure function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ROUND_TO = 16


@dataclass(frozen=True)
class Batch:
    """Numbers of the documents in it, and the number of tokens N that they are padded to."""

    documents: np.ndarray
    length: int


def bucket_lengths(lengths: np.ndarray, buckets: int) -> np.ndarray:
    """Chooses a few lengths to pad to, so that kernels and plans are reused.

    They are quantiles of the documents' lengths, rounded up; the last one holds the longest document.

    Args:
        lengths: tokens of each document after truncation, [n].
        buckets: how many lengths at most.

    Returns:
        Ascending int64, at most `buckets` values.
    """
    quantiles = np.quantile(lengths, np.arange(1, buckets + 1) / buckets, method="higher")
    return np.unique(np.maximum(1, -(-quantiles.astype(np.int64) // ROUND_TO)) * ROUND_TO)


def epoch_batches(lengths: np.ndarray, padded: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[Batch]:
    """Deals all documents into batches, each document once.

    Documents are shuffled, grouped by bucket, and the batches shuffled. What does not fill a batch of its bucket moves
    up to the next, so that only one batch of an epoch is smaller than the others.

    Args:
        lengths: tokens of each document after truncation, [n].
        padded: the lengths to pad to, ascending.
        batch_size: documents in a batch.
        seed, epoch: the order is a function of these two alone.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    bucket = np.searchsorted(padded, lengths[order])
    batches, left = [], order[:0]
    for number, length in enumerate(padded):
        members = np.concatenate([left, order[bucket == number]])
        whole = len(members) - len(members) % batch_size
        batches += [Batch(part, int(length)) for part in members[:whole].reshape(-1, batch_size)]
        left = members[whole:]
    if len(left):
        batches.append(Batch(left, int(padded[-1])))
    return [batches[number] for number in random.permutation(len(batches))]


def scoring_batches(lengths: np.ndarray, batch_size: int, *, padding: bool) -> list[Batch]:
    """Deals all documents into batches for scoring, longest first.

    Args:
        lengths: tokens of each document after truncation, [n].
        batch_size: documents in a batch.
        padding: false puts only documents of one length together, for models whose scores depend on pads.
    """
    order = np.argsort(-lengths, kind="stable")
    same_length = [order] if padding else np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    parts = [group[start : start + batch_size] for group in same_length for start in range(0, len(group), batch_size)]
    return [Batch(part, max(1, int(lengths[part].max()))) for part in parts]


def pad(tokens: np.ndarray, offsets: np.ndarray, batch: Batch, max_tokens: int) -> tuple[Tensor, Tensor]:
    """Gathers the first words of each document of a batch.

    Args:
        tokens: word numbers of all documents.
        offsets: start and end of each document in `tokens`, [n, 2].
        max_tokens: words kept of each document.

    Returns:
        int64 [B, N] padded with 0, and lengths int64 [B].
    """
    starts, ends = offsets[batch.documents].T
    lengths = np.minimum(ends - starts, max_tokens)
    places = np.arange(batch.length)
    words = np.zeros((len(starts), batch.length), dtype=np.int64)
    real = places < lengths[:, None]
    words[real] = tokens[(starts[:, None] + places)[real]]
    return torch.from_numpy(words), torch.from_numpy(lengths)


def truncated_lengths(offsets: np.ndarray, max_tokens: int) -> np.ndarray:
    """Tokens that are kept of each document, int64 [n]."""
    return np.minimum(offsets[:, 1] - offsets[:, 0], max_tokens)
