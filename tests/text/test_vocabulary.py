"""Rows of the word embedding."""

from __future__ import annotations

import numpy as np

from medcode.text.vocabulary import PAD, Vocabulary


def test_words_have_the_rows_after_pad_and_all_others_the_last():
    vocabulary = Vocabulary(["chills", "cough", "fever"])
    rows = vocabulary.rows(["fever", "rigors", "chills", "fever"])
    assert (rows.tolist(), rows.dtype) == ([3, 4, 1, 3], np.int32)
    assert (PAD, vocabulary.unknown) == (0, 4)


def test_no_words_and_no_vocabulary():
    nothing = Vocabulary([]).rows([])
    assert (nothing.shape, nothing.dtype) == ((0,), np.int32)
    assert Vocabulary([]).rows(["fever"]).tolist() == [1]
