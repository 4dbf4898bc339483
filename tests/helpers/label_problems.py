"""Gold labels and scores that the tests of evaluation share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


@st.composite
def problems(draw, tied: bool = True):
    """Gold labels with empty rows and columns, and scores that are often equal (or never)."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(2, 9)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    gold = (random.random(shape) < share).astype(np.uint8)
    if tied:
        scores = draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])))
    else:
        scores = (random.permutation(gold.size).reshape(shape) / gold.size).astype(np.float32)
    return gold, scores


def long_tailed(documents: int = 700, labels: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Gold labels and scores of more documents and labels than one block, with labels that no document has."""
    random = np.random.default_rng(3)
    gold = (random.random((documents, labels)) < 0.3 / np.arange(1, labels + 1)).astype(np.uint8)
    scores = np.clip(random.normal(0.25 + 0.35 * gold, 0.15), 0, 1).astype(np.float32)
    return gold, scores
