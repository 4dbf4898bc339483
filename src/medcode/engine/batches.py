"""Batches of documents of similar length, as a pure function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUND_TO = 16


@dataclass(frozen=True)
class Batch:
    """Indices of the documents in a batch, and the length N in tokens that they are padded to."""

    documents: np.ndarray
    length: int


def bucket_lengths(lengths: np.ndarray, batch_size: int, padding: float) -> np.ndarray:
    """Choose the fewest bucket lengths with which at most a given share of the computed tokens is padding.

    Few lengths let kernels and plans be reused. `epoch_batches` cuts the documents, ordered by bucket, into batches.
    The batch that ends with the i-th document is padded for the i-th shortest one, whichever document that is in an
    epoch. So padding is the same in every epoch, and the best lengths group the batches by the length of their last
    document. Dynamic programming finds them exactly.

    Args:
        lengths: tokens of each document after truncation, [n].
        batch_size: documents in a batch.
        padding: the share, from 0 to 1. If no choice keeps to it, the lengths are those that pad least.

    Returns:
        Ascending int64, multiples of 16. The last one is at least the length of the longest document.
    """
    last_documents = np.append(np.arange(batch_size - 1, len(lengths) - 1, batch_size), len(lengths) - 1)
    multiples = np.maximum(1, -(-np.sort(lengths)[last_documents] // ROUND_TO)) * ROUND_TO
    ends, group = np.unique(multiples, return_inverse=True)
    documents = np.cumsum(np.bincount(group, weights=np.diff(last_documents, prepend=-1)))
    preceding = np.append(0, documents)
    # padded[i, j]: tokens of the batches that end at ends[i] to ends[j], padded to ends[j]
    padded = np.triu(ends * (documents - preceding[:-1, None]))
    padded[np.tril_indices(len(ends), -1)] = np.inf
    fewest_tokens, starts = padded[0], [np.zeros(len(ends), np.int64)]
    while 1 - lengths.sum() / fewest_tokens[-1] > padding and len(starts) < len(ends):
        split = np.append(np.inf, fewest_tokens[:-1])[:, None] + padded
        fewest_tokens = split.min(0)
        starts.append(split.argmin(0))
    buckets = [len(ends) - 1]
    for start in starts[:0:-1]:
        buckets.append(start[buckets[-1]] - 1)
    return ends[buckets[::-1]]


def epoch_batches(lengths: np.ndarray, padded: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[Batch]:
    """Divide all documents into batches, each document once.

    Documents are shuffled, ordered by bucket and cut into batches, and the batches are shuffled. Documents that do not
    fill a batch of their bucket move up to the next bucket, so only one batch of an epoch is smaller than the others.

    Args:
        lengths: tokens of each document after truncation, [n].
        padded: the bucket lengths, ascending.
        batch_size: documents in a batch.
        seed, epoch: the order is a function of these two alone.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    order = order[np.argsort(np.searchsorted(padded, lengths[order]), kind="stable")]
    slices = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = [Batch(batch, int(padded[np.searchsorted(padded, lengths[batch[-1]])])) for batch in slices]
    return [batches[number] for number in random.permutation(len(batches))]


def scoring_batches(lengths: np.ndarray, batch_size: int, *, padding: bool) -> list[Batch]:
    """Divide all documents into batches for scoring, longest first.

    Args:
        lengths: tokens of each document after truncation, [n].
        batch_size: documents in a batch.
        padding: false puts only documents of one length together, for models whose scores depend on padding.
    """
    order = np.argsort(-lengths, kind="stable")
    groups = [order] if padding else np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    slices = [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]
    return [Batch(batch, max(1, int(lengths[batch].max()))) for batch in slices]


def truncated_lengths(offsets: np.ndarray, max_tokens: int) -> np.ndarray:
    """Return the length of each document in tokens after truncation, int64 [n]."""
    return np.minimum(offsets[:, 1] - offsets[:, 0], max_tokens)
