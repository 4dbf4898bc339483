"""Terms of labels, and their words."""

from __future__ import annotations

import numpy as np
import pytest

from medcode.dataset.label_terms import terms_of_label, words_of_terms

TERMS = [["1 2 3", "4"], ["4", "4"], ["", "5 6"]]


def tokenize(texts: list[str]) -> list[np.ndarray]:
    return [np.array([int(word) for word in text.split()], dtype=np.int32) for text in texts]


def test_a_label_has_its_title_and_its_synonyms_from_the_start_again():
    assert terms_of_label("a", ["b", "c"], 5) == ["a", "b", "c", "a", "b"]
    assert terms_of_label("a", ["b", "c"], 2) == ["a", "b"]


def test_a_label_without_synonyms_repeats_its_title():
    assert terms_of_label("Sepsis", [], 3) == ["Sepsis"] * 3
    assert terms_of_label("", ["b"], 2) == ["b", "b"]
    assert terms_of_label("", [], 2) == ["", ""]


@pytest.mark.parametrize(
    ("once", "rows"), [(True, [[], [4], [1, 2], [5, 6]]), (False, [[], [4], [4], [4], [1, 2], [5, 6]])]
)
def test_words_are_cut_and_the_shortest_term_is_first(once, rows):
    words, places = words_of_terms(TERMS, tokenize, 2, once=once)
    assert [[word for word in row if word] for row in words.tolist()] == rows
    cut = [[[int(word) for word in term.split()][:2] for term in label] for label in TERMS]
    assert [[[word for word in words[row].tolist() if word] for row in label] for label in places] == cut
