"""Documents and gold labels on the device give the same batches as gathering document by document."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpu import needs_gpu
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor

from medcode.dataset.arrays import Targets
from medcode.engine import device_data
from medcode.engine.batches import Batch
from medcode.engine.device_data import DeviceNotes, DeviceTargets, choose_storage
from medcode.engine.transfer import AsyncHostCopy, to_device

DEVICES = [torch.device("cpu"), *([torch.device("cuda", 0)] if torch.cuda.is_available() else [])]
GIB = 2**30


def plain_batch(tokens: np.ndarray, offsets: np.ndarray, batch: Batch, most: int) -> tuple[Tensor, Tensor]:
    """The words of a batch, document by document."""
    words = torch.zeros(len(batch.documents), batch.length, dtype=torch.int64)
    lengths = torch.zeros(len(batch.documents), dtype=torch.int64)
    for row, (start, end) in enumerate(offsets[batch.documents]):
        document = tokens[start:end][:most]
        words[row, : len(document)], lengths[row] = torch.from_numpy(document.astype(np.int64)), len(document)
    return words, lengths


@st.composite
def notes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Word ids and offsets of documents: some are empty, in any order, with gaps between them."""
    lengths = np.array(draw(st.lists(st.integers(0, 40), min_size=1, max_size=12)), dtype=np.int64)
    gaps = np.array(draw(st.lists(st.integers(0, 5), min_size=len(lengths), max_size=len(lengths))))
    ends = np.cumsum(lengths + gaps)
    order = draw(st.permutations(range(len(lengths))))
    tokens = np.random.default_rng(len(lengths)).integers(1, 900, int(ends[-1]), dtype=np.int32)
    return tokens, np.stack([ends - lengths, ends], axis=1)[order]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@given(notes=notes(), most=st.integers(1, 50), data=st.data())
def test_batches_equal_gathering_document_by_document(device, notes, most, data):
    tokens, offsets = notes
    read = DeviceNotes(tokens, offsets, most, device)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(offsets) - 1), min_size=1, max_size=8)))
    batch = Batch(chosen, max(1, int(read.lengths[chosen].max())) + data.draw(st.integers(0, 9)))
    gathered = read.gather(to_device(chosen, device), batch.length)
    for actual, expected in zip(gathered, plain_batch(tokens, offsets, batch, most), strict=True):
        assert actual.device == device
        assert actual.dtype == expected.dtype
        assert torch.equal(actual.cpu(), expected)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@given(
    density=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    size=st.tuples(st.integers(1, 12), st.integers(1, 9)),
    dtype=st.sampled_from([np.uint8, np.float32]),
    data=st.data(),
)
def test_gold_labels_equal_the_sparse_matrix(device, density, size, dtype, data):
    random = np.random.default_rng(size)
    labels = sparse.csr_matrix((random.random(size) < density).astype(dtype))
    targets = Targets(labels, random.random(size[0]) < 0.5)
    gold = DeviceTargets(targets, device)
    chosen = np.array(data.draw(st.lists(st.integers(0, size[0] - 1), min_size=1, max_size=8)))
    rows, coded = gold.rows(to_device(chosen, device)), gold.coded(to_device(chosen, device))
    assert rows.dtype == torch.float32
    assert rows.is_contiguous()
    assert torch.equal(rows.cpu(), torch.from_numpy(labels[chosen].toarray()).float())
    assert coded.tolist() == targets.is_coded[chosen].tolist()


def test_stored_zeros_and_duplicate_entries_are_read_correctly():
    labels = sparse.csr_matrix((np.array([1, 0, 1], np.uint8), ([0, 0, 1], [2, 1, 0])), shape=(2, 3))
    gold = DeviceTargets(Targets(labels, np.ones(2, bool)), torch.device("cpu"))
    assert gold.rows(torch.arange(2)).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(("size", "where"), [(GIB, "cuda"), (GIB + 1, "cpu")])
def test_documents_stay_on_the_host_if_gpu_memory_is_too_small(monkeypatch, capsys, size, where):
    device_data._note_host.cache_clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * GIB, 80 * GIB))
    assert [choose_storage(size, torch.device("cuda", 0)).type for _ in range(2)] == [where] * 2
    assert capsys.readouterr().err.count("they stay on the host") == (where == "cpu")
    assert choose_storage(2**60, torch.device("cpu")).type == "cpu"


@needs_gpu
def test_batches_of_documents_on_the_host_are_copied_to_the_gpu(monkeypatch):
    monkeypatch.setattr(device_data, "choose_storage", lambda size, device: torch.device("cpu"))
    tokens, offsets, batch = np.arange(1, 20, dtype=np.int32), np.array([[0, 3], [3, 3], [3, 10]]), np.array([2, 1, 0])
    read = DeviceNotes(tokens, offsets, 4, torch.device("cuda", 0))
    gathered = read.gather(torch.from_numpy(batch).cuda(), 5)
    for actual, expected in zip(gathered, plain_batch(tokens, offsets, Batch(batch, 5), 4), strict=True):
        assert actual.device.type == "cuda"
        assert torch.equal(actual.cpu(), expected)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_an_async_copy_keeps_the_values(device):
    values = torch.arange(6.0).view(2, 3)
    assert torch.equal(AsyncHostCopy(to_device(values.numpy(), device)).read(), values)
