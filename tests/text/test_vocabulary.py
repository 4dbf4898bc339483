"""Vocabulary: rows of words in the embedding table."""

from __future__ import annotations

import numpy as np

from medcode.text.vocabulary import PAD, Vocabulary


def test_words_follow_pad_and_unknown_words_have_the_last_row():
    vocabulary = Vocabulary(["chills", "cough", "fever"])
    rows = vocabulary.rows(["fever", "rigors", "chills", "fever"])
    assert (rows.tolist(), rows.dtype) == ([3, 4, 1, 3], np.int32)
    assert (PAD, vocabulary.unknown, vocabulary.n_rows) == (0, 4, 5)


def test_the_table_has_a_row_for_pad_each_word_and_unknown_words():
    table = Vocabulary.table(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]))
    assert table.tolist() == [[0, 0], [1, 2], [3, 4], [5, 6]]


def test_empty_words_and_an_empty_vocabulary_work():
    nothing = Vocabulary([]).rows([])
    assert (nothing.shape, nothing.dtype) == ((0,), np.int32)
    assert Vocabulary([]).rows(["fever"]).tolist() == [1]
