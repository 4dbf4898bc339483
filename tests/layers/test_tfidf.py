from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from medcode.layers.tfidf import TfIdf, choose_features

ROWS = 9


def padded(documents: list[list[int]], more: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.zeros(len(documents), max(1, *map(len, documents)) + more, dtype=torch.long)
    for row, words in zip(tokens, documents, strict=True):
        row[: len(words)] = torch.tensor(words, dtype=torch.long)
    return tokens, torch.tensor([len(words) for words in documents])


def dense(tfidf: TfIdf, documents: list[list[int]], more: int = 0) -> np.ndarray:
    numbers, values, starts = tfidf(*padded(documents, more))
    result = np.zeros((len(documents), len(tfidf.keys) - 1))
    for row, (start, end) in enumerate(itertools.pairwise([*starts.tolist(), len(numbers)])):
        assert (numbers[start:end].diff() > 0).all()
        result[row, numbers[start:end]] = values[start:end]
    return result


def fitted(documents: list[list[int]], min_documents: int = 2, max_features: int = 1000) -> TfIdf:
    keys, idf = choose_features([padded(documents)], ROWS, min_documents, max_features)
    tfidf = TfIdf(ROWS, len(keys))
    tfidf.set_features(keys, idf)
    return tfidf


def words_and_pairs(document: list[int]) -> list[tuple[int, ...]]:
    return [*((word,) for word in document), *itertools.pairwise(document)]


documents_of_words = st.lists(st.lists(st.integers(1, ROWS - 1), max_size=25), min_size=2, max_size=8)


@given(train=documents_of_words, new=documents_of_words, min_documents=st.integers(1, 3))
def test_features_equal_those_of_scikit_learn(train, new, min_documents):
    oracle = TfidfVectorizer(analyzer=words_and_pairs, min_df=min_documents, sublinear_tf=True)
    tfidf = fitted(train, min_documents)
    try:
        oracle.fit(train)
    except ValueError:  # no feature
        assert len(tfidf.keys) == 1
        assert dense(tfidf, new).shape == (len(new), 0)
        return
    keys = [key[0] if len(key) == 1 else key[0] * ROWS + key[1] for key in oracle.get_feature_names_out()]
    assert tfidf.keys.tolist()[:-1] == sorted(keys)
    for documents in (train, new):
        expected = oracle.transform(documents).toarray()[:, np.argsort(keys)]
        np.testing.assert_allclose(dense(tfidf, documents), expected, atol=1e-6)
        np.testing.assert_allclose(dense(tfidf, documents, more=5), expected, atol=1e-6)


def test_two_notes_by_hand():
    """Words 1 and 2 and the pair (1, 2) are in both training notes; 3 and its pairs are in one."""
    tfidf = fitted([[1, 2, 1, 2], [1, 2, 3]])
    assert tfidf.keys.tolist()[:-1] == [1, 2, 1 * ROWS + 2]
    assert tfidf.idf.tolist() == [1, 1, 1, 0]  # log(3 / 3) + 1
    values = np.array([1, 1 + math.log(2), 1])  # one word 1, two words 2, one pair
    expected = [values / np.linalg.norm(values), [0] * 3, [0] * 3]
    np.testing.assert_allclose(dense(tfidf, [[2, 3, 1, 2], [3, 3], []]), expected, rtol=1e-6)


def test_of_too_many_features_those_in_most_documents_are_kept():
    documents = [[1], [1], [1], [2, 3], [2, 3], [4], [4, 5]]
    for kept, keys in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4, 2 * ROWS + 3])):
        assert fitted(documents, 2, kept).keys.tolist()[:-1] == keys


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_features_do_not_depend_on_the_batches(parts):
    documents = [[1, 2, 3], [3, 2, 1], [2, 3], [], [1, 2]]
    batches = [padded(list(part)) for part in np.array_split(np.array(documents, dtype=object), parts)]
    whole, split = (choose_features(x, ROWS, 2, 10) for x in ([padded(documents)], batches))
    for expected, values in zip(whole, split, strict=True):
        np.testing.assert_array_equal(values, expected)
