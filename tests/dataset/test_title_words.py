"""Words of titles as ids."""

from __future__ import annotations

import numpy as np
import torch

from medcode.dataset.title_words import known_words, mean_vectors, padded

NO_WORDS = np.array([], dtype=np.int64)


def test_ids_that_are_no_words_are_left_out():
    found = known_words(np.array([3, 0, 9, 3], dtype=np.int32), (0, 9))
    assert found.tolist() == [3, 3] and found.dtype == np.int64


def test_texts_become_rows_as_long_as_the_longest():
    assert padded([np.array([1, 2]), NO_WORDS, np.array([3])]).tolist() == [[1, 2], [0, 0], [3, 0]]


def test_texts_without_words_have_one_place_of_padding():
    found = padded([NO_WORDS, NO_WORDS])
    assert found.tolist() == [[0], [0]] and found.dtype == torch.int64


def test_mean_vectors_are_zero_without_words():
    table = torch.arange(8.0).reshape(4, 2)
    found = mean_vectors(table, [np.array([1, 3]), np.array([], dtype=np.int64)])
    assert found.tolist() == [[4, 5], [0, 0]]
