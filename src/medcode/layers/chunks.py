"""Split documents into chunks that an encoder can read, and join the states of chunks again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medcode.layers.masks import position_mask


@dataclass(frozen=True)
class Specials:
    """Ids of an encoder's special tokens: begin and end of a text, and padding."""

    begin: int
    end: int
    pad: int


@dataclass(frozen=True)
class Chunks:
    """The chunks of a batch, in the order of its documents.

    Attributes:
        token_ids: subword ids, int [C, L].
        real: mask of the positions that are not padding, bool [C, L].
        counts: number of chunks of each document, int [B].
    """

    token_ids: Tensor
    real: Tensor
    counts: Tensor


def cut_apart(tokens: Tensor, lengths: Tensor, size: int, specials: Specials) -> Chunks:
    """Split every document into chunks, each between special tokens.

    Args:
        tokens: subword ids with any padding, int [B, N].
        lengths: number of subwords of each document, [B]; an empty document is one chunk.
        size: number of positions of a chunk, special tokens included; at least 3.
        specials: ids of the special tokens.
    """
    room, extent = size - 2, tokens.shape[1]
    counts = (-(-lengths // room)).clamp(min=1)
    document, number = _chunk_indices(counts)
    inside = (lengths[document] - number * room).clamp(0, room).unsqueeze(1)  # [C, 1]
    place = torch.arange(min(size, extent + 2), device=tokens.device)
    token_ids = _gather(tokens, document, number.unsqueeze(1) * room + place - 1)
    token_ids = torch.where(place == 0, specials.begin, torch.where(place == inside + 1, specials.end, token_ids))
    real = place < inside + 2
    return Chunks(token_ids.masked_fill(~real, specials.pad), real, counts)


def cut_through(tokens: Tensor, lengths: Tensor, size: int, specials: Specials, *, padded: bool = False) -> Chunks:
    """Put every document between special tokens, and split the result into chunks.

    Args:
        tokens: subword ids with any padding, int [B, N].
        lengths: number of subwords of each document, [B].
        size: number of positions of a chunk.
        specials: ids of the special tokens.
        padded: whether every document is padded to the chunks of N + 2 positions, all of full size; some chunks may
            then contain nothing but padding.
    """
    extent = tokens.shape[1] + 2
    chunks = -(-extent // size)
    counts = torch.full_like(lengths, chunks) if padded else -(-(lengths + 2) // size)
    document, number = _chunk_indices(counts)
    place = torch.arange(size if padded else min(size, extent), device=tokens.device)
    position = number.unsqueeze(1) * size + place  # [C, L]
    last = lengths[document].unsqueeze(1) + 1
    token_ids = _gather(tokens, document, position - 1)
    token_ids = torch.where(position == 0, specials.begin, torch.where(position == last, specials.end, token_ids))
    real = position <= last
    return Chunks(token_ids.masked_fill(~real, specials.pad), real, counts)


def _chunk_indices(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the document of each chunk, and the chunk's index in the document: [C], [C]."""
    document = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    first = counts.cumsum(0) - counts
    return document, torch.arange(len(document), device=counts.device) - first[document]


def _gather(tokens: Tensor, document: Tensor, place: Tensor) -> Tensor:
    """Gather tokens of documents by position, with arbitrary values outside of a document: [C], [C, L] -> [C, L]."""
    return tokens[document.unsqueeze(1), place.clamp(0, tokens.shape[1] - 1)]


def join(values: Tensor, counts: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Pad concatenated values to one row per document.

    Args:
        values: values of all documents, [sum of the counts, D].
        counts: number of values of each document, [B].
        width: W, at least the largest count.

    Returns:
        Rows [B, W, D], zero at padding, and the mask of values, bool [B, W].
    """
    mask = position_mask(counts, width)
    rows = values.new_zeros(*mask.shape, *values.shape[1:])
    rows[mask] = values
    return rows, mask
