"""Notes and targets of a split on the model's device, so that batches are gathered without the host."""

from __future__ import annotations

import functools
import sys
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medcode.dataset.arrays import Targets
from medcode.dataset.binary_csr import as_binary_csr
from medcode.engine.batches import truncated_lengths
from medcode.engine.device_spans import DeviceSpans
from medcode.engine.transfer import to_device

PART_OF_FREE = 8  # one split may take an eighth of a GPU's free memory; the rest is for the network


class DeviceNotes:
    """Tokens of the documents of a split, in memory of the device, or of the host if the device has too little.

    Args:
        tokens: ids of the words or subwords of all documents, int32.
        offsets: start and end of each document in `tokens`, [n, 2].
        max_tokens: truncates each document to so many tokens.
        device: of the batches.

    Attributes:
        lengths: tokens of each document after truncation, int64 [n], on the host.
    """

    def __init__(self, tokens: np.ndarray, offsets: np.ndarray, max_tokens: int, device: torch.device) -> None:
        self.device, self.lengths = device, truncated_lengths(offsets, max_tokens)
        starts, ends = offsets[:, 0].tolist(), (offsets[:, 0] + self.lengths).tolist()
        all_tokens = np.asarray(tokens)
        # The first token is padding, which `gather` reads for every position behind the end of a document.
        truncated = [np.zeros(1, np.int32), *(all_tokens[start:end] for start, end in zip(starts, ends, strict=True))]
        flat = torch.from_numpy(np.concatenate(truncated, dtype=np.int32))
        storage_device = choose_storage(flat.nbytes, device)
        self._tokens = flat.to(storage_device)
        self._starts = torch.from_numpy(1 + np.cumsum(self.lengths) - self.lengths).to(storage_device)
        self._lengths = torch.from_numpy(self.lengths).to(storage_device)

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, documents: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the tokens of some documents, int64 [B, N], padded with 0, and their lengths, int64 [B].

        Args:
            documents: their indices, int64 [B], on the device.
            length: N, the length that they are padded to.
        """
        storage_device = self._tokens.device
        rows = documents.to(storage_device)
        starts, lengths = self._starts[rows], self._lengths[rows]
        positions = torch.arange(length, device=storage_device)
        tokens = self._tokens[torch.where(positions < lengths[:, None], starts[:, None] + positions, 0)].long()
        if storage_device.type == self.device.type:
            return tokens, lengths
        return to_device(tokens.numpy(), self.device), to_device(lengths.numpy(), self.device)


class DeviceTargets:
    """Gold labels of the documents of a split under one head, in memory of the device.

    Args:
        targets: of the split.
        device: of the labels of batches.
    """

    def __init__(self, targets: Targets, device: torch.device) -> None:
        gold = as_binary_csr(targets.matrix)
        counts = np.diff(gold.indptr)
        self._labels, self._max_labels = gold.shape[1], int(counts.max(initial=0))
        # `rows` reads as many columns for every document as the one with the most labels has, and ignores those of the
        # documents that follow. Padding lets it do so for the last document too.
        columns = np.append(gold.indices, np.zeros(self._max_labels, gold.indices.dtype)).astype(np.int64)
        arrays = (columns, gold.indptr[:-1].astype(np.int64), counts.astype(np.int64), targets.is_coded)
        self._columns, self._starts, self._counts, self._is_coded = (torch.from_numpy(a).to(device) for a in arrays)

    def rows(self, documents: Tensor) -> Tensor:
        """Return the labels of some documents, 0 or 1, fp32 [B, Y].

        Args:
            documents: their indices, int64 [B], on the device.
        """
        size, device = len(documents) * self._labels, documents.device
        positions = torch.arange(self._max_labels, device=device)
        columns = self._columns[self._starts[documents, None] + positions]
        cells = columns + self._labels * torch.arange(len(documents), device=device)[:, None]
        cells = torch.where(positions < self._counts[documents, None], cells, size)
        # One more cell takes the columns that are no label of the document, so that the host need not know how many.
        flat = torch.zeros(size + 1, device=device).scatter_(0, cells.flatten(), 1.0)
        return flat[:-1].view(len(documents), self._labels)

    def coded(self, documents: Tensor) -> Tensor:
        """Whether some documents were coded in the head's system, bool [B]."""
        return self._is_coded[documents]


class DeviceData(NamedTuple):
    """Notes, gold labels and spans on the model's device; the labels of dev stay on the host.

    Spans are by head, and None where training does not read them.
    """

    train_notes: DeviceNotes
    dev_notes: DeviceNotes
    train_targets: dict[str, DeviceTargets]
    dev_targets: dict[str, DeviceTargets]
    train_spans: dict[str, DeviceSpans] | None = None
    dev_spans: dict[str, DeviceSpans] | None = None


def choose_storage(size: int, device: torch.device) -> torch.device:
    """Return the device to keep `size` bytes of documents on: the host if the GPU has too little memory."""
    if device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] // PART_OF_FREE:
        return device
    _note_host()
    return torch.device("cpu")


@functools.cache
def _note_host() -> None:
    print("note: the GPU has too little memory left for the documents; they stay on the host", file=sys.stderr)
