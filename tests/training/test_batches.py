"""Batches: every document once, padded to a few lengths, the same for the same seed and epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medcode.training.batches import Batch, bucket_lengths, epoch_batches, pad, scoring_batches, truncated_lengths

note_lengths = st.lists(st.integers(0, 3000), min_size=1, max_size=200).map(lambda x: np.array(x, dtype=np.int64))


@given(lengths=note_lengths, buckets=st.integers(1, 10), size=st.integers(1, 20), epoch=st.integers(0, 5))
def test_every_document_comes_once_and_fits_its_bucket(lengths, buckets, size, epoch):
    padded = bucket_lengths(lengths, buckets)
    plan = epoch_batches(lengths, padded, size, seed=1, epoch=epoch)
    assert sorted(np.concatenate([batch.documents for batch in plan])) == list(range(len(lengths)))
    assert all(lengths[batch.documents].max() <= batch.length for batch in plan)
    assert all(batch.length in padded for batch in plan)
    assert sum(len(batch.documents) < size for batch in plan) <= 1
    assert len(padded) <= buckets


@given(lengths=note_lengths, seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_batches_are_a_function_of_seed_and_epoch(lengths, seed, epoch):
    padded = bucket_lengths(lengths, 4)
    first, again = (epoch_batches(lengths, padded, 4, seed, epoch) for _ in range(2))
    assert [batch.documents.tolist() for batch in first] == [batch.documents.tolist() for batch in again]


def test_another_epoch_or_seed_gives_another_order():
    lengths = np.arange(100)
    orders = {
        tuple(np.concatenate([b.documents for b in epoch_batches(lengths, np.array([112]), 8, seed, epoch)]))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


@given(lengths=note_lengths, size=st.integers(1, 20))
def test_scoring_without_padding_puts_only_equal_lengths_together(lengths, size):
    plan = scoring_batches(lengths, size, padding=False)
    assert sorted(np.concatenate([batch.documents for batch in plan])) == list(range(len(lengths)))
    assert all(len(set(lengths[batch.documents])) == 1 and len(batch.documents) <= size for batch in plan)


def test_bucketing_wastes_little_on_notes_as_long_as_those_of_mimic():
    random = np.random.default_rng(0)
    lengths = np.minimum(random.lognormal(np.log(1350), 0.55, 8000).astype(np.int64), 2500)
    plan = epoch_batches(lengths, bucket_lengths(lengths, 8), 16, seed=1, epoch=0)
    computed = sum(batch.length * len(batch.documents) for batch in plan)
    assert lengths.sum() / computed > 0.9


def test_notes_are_gathered_truncated_and_padded():
    tokens = np.arange(1, 20, dtype=np.int32)
    offsets = np.array([[0, 3], [3, 3], [3, 10]])
    words, lengths = pad(tokens, offsets, Batch(np.array([2, 1, 0]), 5), max_tokens=4)
    assert words.tolist() == [[4, 5, 6, 7, 0], [0, 0, 0, 0, 0], [1, 2, 3, 0, 0]]
    assert lengths.tolist() == [4, 0, 3]
    assert truncated_lengths(offsets, 4).tolist() == [3, 0, 4]
