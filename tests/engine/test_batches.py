"""Batches: every document once, padded to a few lengths, the same for the same seed and epoch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.engine.batches import Batch, bucket_lengths, epoch_batches, scoring_batches

note_lengths = st.lists(st.integers(0, 3000), min_size=1, max_size=200).map(lambda x: np.array(x, dtype=np.int64))
few_lengths = st.lists(st.integers(0, 90), min_size=1, max_size=24).map(lambda x: np.array(x, dtype=np.int64))
shares = st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.0])


def padding(lengths: np.ndarray, plan: list[Batch]) -> float:
    """The share of the tokens of an epoch that is padding."""
    return 1 - lengths.sum() / sum(len(batch.documents) * batch.length for batch in plan)


@given(lengths=note_lengths, share=shares, size=st.integers(1, 20), epoch=st.integers(0, 5))
def test_every_document_comes_once_and_fits_its_bucket(lengths, share, size, epoch):
    padded = bucket_lengths(lengths, size, share)
    plan = epoch_batches(lengths, padded, size, seed=1, epoch=epoch)
    assert sorted(np.concatenate([batch.documents for batch in plan])) == list(range(len(lengths)))
    assert all(lengths[batch.documents].max() <= batch.length for batch in plan)
    assert {batch.length for batch in plan} == set(padded.tolist())
    assert sum(len(batch.documents) < size for batch in plan) <= 1


@given(lengths=note_lengths, share=shares, size=st.integers(1, 20))
def test_padding_is_within_the_share_or_minimal(lengths, share, size):
    padded = bucket_lengths(lengths, size, share)
    epochs = [padding(lengths, epoch_batches(lengths, padded, size, 1, epoch)) for epoch in range(4)]
    ends = np.maximum(1, -(-np.sort(lengths) // 16)) * 16
    batches = np.split(ends, np.arange(size, len(ends), size))
    least = 1 - lengths.sum() / sum(len(batch) * batch[-1] for batch in batches)
    assert len(set(epochs)) == 1
    assert epochs[0] <= max(share, least)


@given(lengths=few_lengths, share=shares, size=st.integers(1, 6))
def test_bucket_lengths_are_optimal(lengths, share, size):
    longest = max(1, -(-lengths.max() // 16)) * 16
    shorter = range(16, longest, 16)
    by_number = [
        min(
            padding(lengths, epoch_batches(lengths, np.array([*chosen, longest]), size, 1, 0))
            for chosen in itertools.combinations(shorter, number)
        )
        for number in range(len(shorter) + 1)
    ]
    padded = bucket_lengths(lengths, size, share)
    best = next((number for number, least in enumerate(by_number) if least <= share), by_number.index(min(by_number)))
    assert len(padded) == best + 1
    assert padding(lengths, epoch_batches(lengths, padded, size, 1, 0)) == by_number[best]


@pytest.mark.parametrize(("cut", "size", "most"), [(2500, 16, 6), (2500, 8, 6), (4000, 16, 10), (4000, 8, 10)])
def test_few_bucket_lengths_suffice_for_mimic(cut, size, most):
    lengths = np.random.default_rng(1).lognormal(np.log(1350), 0.55, 47_719).astype(np.int64).clip(1, cut)
    padded = bucket_lengths(lengths, size, 0.1)
    assert padding(lengths, epoch_batches(lengths, padded, size, seed=1, epoch=0)) <= 0.1
    assert len(padded) <= most


@given(lengths=note_lengths, seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_the_same_seed_and_epoch_give_the_same_batches(lengths, seed, epoch):
    padded = bucket_lengths(lengths, 4, 0.1)
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


def test_batch_order_does_not_depend_on_length():
    lengths = np.random.default_rng(1).lognormal(np.log(1350), 0.55, 4000).astype(np.int64)
    padded = bucket_lengths(lengths, 8, 0.1)
    for epoch in range(4):
        ordered = lengths[np.concatenate([b.documents for b in epoch_batches(lengths, padded, 8, 1, epoch)])]
        assert abs(np.corrcoef(np.arange(len(ordered)), ordered)[0, 1]) < 0.15


@given(lengths=note_lengths, size=st.integers(1, 20))
def test_scoring_without_padding_puts_only_equal_lengths_together(lengths, size):
    plan = scoring_batches(lengths, size, padding=False)
    assert sorted(np.concatenate([batch.documents for batch in plan])) == list(range(len(lengths)))
    assert all(len(set(lengths[batch.documents])) == 1 and len(batch.documents) <= size for batch in plan)
