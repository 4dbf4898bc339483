"""Documents cut into chunks that an encoder can read, all chunks of a batch side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medcode.layers.masks import position_mask


@dataclass(frozen=True)
class Specials:
    """Numbers of the pieces that an encoder wants before and after a text, and of the one that stands for nothing."""

    begin: int
    end: int
    pad: int


@dataclass(frozen=True)
class Chunks:
    """The chunks of a batch, in the order of its documents, none of them empty.

    Attributes:
        pieces: int [C, L].
        real: which of them are no pads, bool [C, L].
        counts: number of chunks of each document, int [B].
    """

    pieces: Tensor
    real: Tensor
    counts: Tensor


def cut_apart(tokens: Tensor, lengths: Tensor, size: int, specials: Specials) -> Chunks:
    """Cuts every document into chunks that each begin and end with the encoder's special pieces.

    Args:
        tokens: piece numbers, padded with anything, int [B, N].
        lengths: number of pieces of each document, [B]; a document without pieces is one chunk.
        size: positions of a chunk, special pieces included; at least 3.
    """
    room, extent = size - 2, tokens.shape[1]
    counts = (-(-lengths // room)).clamp(min=1)
    document, number = _deal(counts)
    inside = (lengths[document] - number * room).clamp(0, room).unsqueeze(1)  # [C, 1]
    place = torch.arange(min(size, extent + 2), device=tokens.device)
    pieces = _gather(tokens, document, number.unsqueeze(1) * room + place - 1)
    pieces = torch.where(place == 0, specials.begin, torch.where(place == inside + 1, specials.end, pieces))
    real = place < inside + 2
    return Chunks(pieces.masked_fill(~real, specials.pad), real, counts)


def cut_through(tokens: Tensor, lengths: Tensor, size: int, specials: Specials, *, padded: bool = False) -> Chunks:
    """Puts the special pieces around every document, and cuts what results into chunks.

    Args:
        tokens: piece numbers, padded with anything, int [B, N].
        lengths: number of pieces of each document, [B].
        size: positions of a chunk.
        padded: whether all documents have as many chunks as N + 2 positions need, of full size, some without any piece.
    """
    extent = tokens.shape[1] + 2
    chunks = -(-extent // size)
    counts = torch.full_like(lengths, chunks) if padded else -(-(lengths + 2) // size)
    document, number = _deal(counts)
    place = torch.arange(size if padded else min(size, extent), device=tokens.device)
    position = number.unsqueeze(1) * size + place  # [C, L]
    last = lengths[document].unsqueeze(1) + 1
    pieces = _gather(tokens, document, position - 1)
    pieces = torch.where(position == 0, specials.begin, torch.where(position == last, specials.end, pieces))
    real = position <= last
    return Chunks(pieces.masked_fill(~real, specials.pad), real, counts)


def _deal(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The document of each chunk, and the chunk's number in it: [C], [C]."""
    document = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    first = counts.cumsum(0) - counts
    return document, torch.arange(len(document), device=counts.device) - first[document]


def _gather(tokens: Tensor, document: Tensor, place: Tensor) -> Tensor:
    """Pieces of some documents at some places, anything at places where there is none: [C], [C, L] -> [C, L]."""
    return tokens[document.unsqueeze(1), place.clamp(0, tokens.shape[1] - 1)]


def join(values: Tensor, counts: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Puts values that follow each other, document after document, into one row for each document.

    Args:
        values: [sum of the counts, D].
        counts: values of each document, [B].
        width: W, at least the largest count.

    Returns:
        [B, W, D], zero where a document has no value; and where it has one, bool [B, W].
    """
    mask = position_mask(counts, width)
    rows = values.new_zeros(*mask.shape, *values.shape[1:])
    rows[mask] = values
    return rows, mask
