"""Word vectors at unit norm, as caml-mimic's, or raw with LAAT's UNK."""

from __future__ import annotations

import numpy as np

from medcode.dataset.embedding_table import embedding_table

# PAD, two words, UNK
VECTORS = np.array([[0, 0], [3, 4], [-12, 5], [0.6, -0.8]], np.float32)


def test_unit_vectors_have_the_norm_one():
    table = embedding_table(VECTORS, "unit")
    np.testing.assert_allclose(table, [[0, 0], [0.6, 0.8], [-12 / 13, 5 / 13], [0.6, -0.8]], rtol=2e-6)
    assert table.dtype == np.float32


def test_raw_vectors_are_those_of_word2vec_beside_a_uniform_unknown_word():
    wide = np.repeat(VECTORS, 500, axis=1)
    table = embedding_table(wide, "raw")
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table[:-1], wide[:-1])
    unknown = table[-1]
    assert abs(unknown).max() <= 0.25
    assert abs(unknown.mean()) < 0.02
    assert abs(unknown.std() - 0.5 / 12**0.5) < 0.005  # of a uniform distribution 0.5 wide
    np.testing.assert_array_equal(table, embedding_table(wide, "raw"))
    assert wide[-1, 0] == np.float32(0.6), "the input stays as it is"
