"""Spans on the device give the same tokens as going through them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcode.engine.device_spans import DeviceSpans

DEVICES = [torch.device("cpu"), *([torch.device("cuda", 0)] if torch.cuda.is_available() else [])]
DOCUMENTS, LABELS, LENGTH = 5, 4, 9

spans_of_documents = st.lists(
    st.tuples(st.integers(0, DOCUMENTS - 1), st.integers(0, LABELS - 1), st.integers(0, LENGTH), st.integers(1, 5)),
    max_size=25,
)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@given(spans=spans_of_documents, chosen=st.lists(st.integers(0, DOCUMENTS - 1), min_size=1, max_size=6))
def test_tokens_equal_going_through_the_spans_one_by_one(device, spans, chosen):
    table = np.unique(np.array([(d, y, n, n + size) for d, y, n, size in spans], np.int64).reshape(-1, 4), axis=0)
    on_device, documents = DeviceSpans(table, DOCUMENTS, device), torch.tensor(chosen, device=device)
    labels, counts = on_device.labels(documents).tolist(), on_device.counts(documents).tolist()
    tokens = on_device.tokens(documents, LENGTH)
    most = max((len({y for d, y, *_ in spans if d == document}) for document in range(DOCUMENTS)), default=0)
    assert tokens.shape == (len(chosen), most, LENGTH) and tokens.dtype == torch.bool
    for row, document in enumerate(chosen):
        of_document = sorted({y for d, y, *_ in spans if d == document})
        assert labels[row] == of_document + [0] * (most - len(of_document)) and counts[row] == len(of_document)
        for place in range(most):
            expected = [
                place < len(of_document)
                and any(d == document and y == of_document[place] and n <= token < n + size for d, y, n, size in spans)
                for token in range(LENGTH)
            ]
            assert tokens[row, place].tolist() == expected
