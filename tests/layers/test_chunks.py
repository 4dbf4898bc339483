"""Chunks of a batch equal chunks of one document at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcode.layers.chunks import Specials, cut_apart, cut_through, join

SPECIALS = Specials(begin=90, end=91, pad=92)
documents = st.lists(st.lists(st.integers(0, 89), max_size=23), min_size=1, max_size=4)


def batch(texts: list[list[int]], padded: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens padded with 7, a valid subword: only lengths mark the padding."""
    width = max([1, *map(len, texts)]) + padded
    return torch.tensor([text + [7] * (width - len(text)) for text in texts]), torch.tensor([len(t) for t in texts])


def parts(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, len(values), size)] or [[]]


def read(chunks) -> list[list[int]]:
    assert (chunks.token_ids[~chunks.real] == SPECIALS.pad).all()
    return [row[real].tolist() for row, real in zip(chunks.token_ids, chunks.real, strict=True)]


@given(documents, st.integers(3, 12), st.integers(0, 30))
def test_chunks_of_their_own_have_special_tokens_each(texts, size, padded):
    chunks = cut_apart(*batch(texts, padded), size, SPECIALS)
    expected = [[[90, *part, 91] for part in parts(text, size - 2)] for text in texts]
    assert read(chunks) == [chunk for document in expected for chunk in document]
    assert chunks.counts.tolist() == [len(document) for document in expected]
    assert chunks.token_ids.shape[1] <= size


@given(documents, st.integers(1, 12), st.integers(0, 30))
def test_chunks_of_a_whole_have_special_tokens_around_the_document(texts, size, padded):
    chunks = cut_through(*batch(texts, padded), size, SPECIALS)
    expected = [parts([90, *text, 91], size) for text in texts]
    assert read(chunks) == [chunk for document in expected for chunk in document]
    assert chunks.counts.tolist() == [len(document) for document in expected]


@given(documents, st.integers(1, 12), st.integers(0, 30))
def test_padded_documents_have_as_many_chunks_as_the_longest(texts, size, padded):
    tokens, lengths = batch(texts, padded)
    chunks = cut_through(tokens, lengths, size, SPECIALS, padded=True)
    whole = -(-(tokens.shape[1] + 2) // size)
    assert chunks.token_ids.shape == (len(texts) * whole, size)
    for text, row in zip(texts, chunks.token_ids.reshape(len(texts), -1).tolist(), strict=True):
        assert row == [90, *text, 91] + [92] * (whole * size - len(text) - 2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 3))
def test_values_are_joined_document_by_document(counts, more):
    width = max(counts) + more
    values = torch.arange(1.0, sum(counts) * 2 + 1).reshape(-1, 2)
    rows, mask = join(values, torch.tensor(counts), width)
    assert rows.shape == (len(counts), width, 2)
    for row, real, part in zip(rows, mask, values.split(counts), strict=True):
        assert torch.equal(row[real], part) and not row[~real].any()
        assert real.tolist() == [True] * len(part) + [False] * (width - len(part))


@pytest.mark.parametrize("cut", [cut_apart, cut_through])
def test_long_documents_have_no_superfluous_chunk(cut):
    lengths = torch.tensor([12_000, 0, 1, 700])
    chunks = cut(torch.ones(4, 12_000, dtype=torch.long), lengths, 128, SPECIALS)
    assert chunks.real.any(1).all()
    assert len(chunks.token_ids) == chunks.counts.sum() <= 12_000 // 126 + 700 // 126 + 4
