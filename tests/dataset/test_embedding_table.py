"""Word vectors at unit norm, as caml-mimic's, whitened, or raw with LAAT's UNK."""

from __future__ import annotations

import numpy as np

from medcode.dataset.embedding_table import embedding_table, whiten

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


def test_whitened_vectors_have_mean_zero_and_identity_covariance():
    random = np.random.default_rng(0)
    vectors = random.standard_normal((400, 5)) * [5, 3, 1, 1, 0.1] + [2, 0, 0, 0, 0]
    whitened = whiten(vectors)
    np.testing.assert_allclose(whitened.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(whitened.T @ whitened / len(whitened), np.eye(5), atol=1e-9)
    for column in range(5):
        assert np.corrcoef(vectors[:, column], whitened[:, column])[0, 1] > 0.8


def test_whitened_vectors_are_finite_without_variance_in_a_direction():
    vectors = np.random.default_rng(0).standard_normal((3, 8))
    whitened = whiten(vectors)
    assert np.isfinite(whitened).all() and np.linalg.matrix_rank(whitened) == 2


def test_a_whitened_table_has_whitened_words_of_norm_one_and_the_same_unknown_word():
    random = np.random.default_rng(0)
    vectors = (random.standard_normal((60, 5)) + np.array([4, 0, 0, 0, 0])).astype(np.float32)
    vectors[0] = 0
    unit, table = embedding_table(vectors, "unit"), embedding_table(vectors, "whitened")
    np.testing.assert_array_equal(table[[0, -1]], unit[[0, -1]])
    np.testing.assert_allclose(np.linalg.norm(table[1:], axis=1), 1, rtol=1e-5)
    expected = whiten(vectors[1:-1])
    np.testing.assert_allclose(table[1:-1], expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-4)
    assert np.linalg.norm(table[1:-1].mean(0)) < 0.2 < np.linalg.norm(unit[1:-1].mean(0))
