"""Matches of terms in notes: a case by hand, and a plain loop over the definition."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.open_codes.matching import NoteFrequencies, TermIndex
from medcode.open_codes.words import beginnings, sentences, words

NO_NOTES = NoteFrequencies(0, Counter())
WORDS = st.frozensets(st.sampled_from("abcdefgh"), max_size=5)


def test_words_lose_case_accents_plurals_and_stop_words():
    assert words("Fractures of the LEFT femur, pélvis y riñones") == {"fracture", "left", "femur", "pelvis", "rinone"}
    assert words("abscess stenosis uterus gas HIV-2") == {"abscess", "stenosis", "uterus", "gas", "hiv", "2"}
    assert sentences("Fever. The femur broke.\n") == [{"fever"}, {"femur", "broke"}]


def test_beginnings_join_forms_of_a_word():
    assert beginnings(words("pulmonary fibrosis")) == beginnings(words("pulmonar fibroso")) == {"pulmon", "fibros"}


def test_a_case_by_hand():
    # idf among the three terms, halved, for there are no notes: acute 1/2 log(4/3), others 1/2 log(4/2).
    terms = [(0, words("acute appendicitis")), (1, words("acute pain")), (1, words("chest pain"))]
    index = TermIndex.build(terms, 3, NO_NOTES)
    acute, pain, chest, appendicitis = log(4 / 3) / 2, log(4 / 3) / 2, log(4 / 2) / 2, log(4 / 2) / 2
    found = index.match(index.covered([words("An acute illness"), words("pain in the chest")]))
    assert found.scores == pytest.approx([acute / sqrt(acute + appendicitis), sqrt(pain + chest), 0])
    assert found.covered == pytest.approx([acute / (acute + appendicitis), 1, 0])
    assert found.lengths.tolist() == [2, 2, 0]
    assert index.is_whole(index.covered([words("chest pain")])).tolist() == [False, False, True]


def test_idf_is_the_mean_of_that_among_terms_and_that_among_notes():
    notes = NoteFrequencies.count([sentences("Pain. Pain in the chest."), sentences("Fever.")])
    assert notes == NoteFrequencies(2, Counter({"pain": 1, "chest": 1, "fever": 1}))
    index = TermIndex.build([(0, words("chest pain")), (1, words("pain of knee"))], 2, notes)
    idf = dict(zip(index.vocabulary, index.idf.tolist(), strict=True))
    assert idf == pytest.approx(
        {"chest": (log(3 / 2) + log(3 / 2)) / 2, "knee": (log(3 / 2) + log(3)) / 2, "pain": log(3 / 2) / 2}
    )


@given(st.lists(st.tuples(st.integers(0, 3), WORDS), min_size=1), st.lists(WORDS), st.lists(WORDS))
def test_sparse_products_agree_with_a_plain_loop(terms, note, further):
    frequencies = NoteFrequencies.count([note, further])
    index = TermIndex.build(terms, 4, frequencies)
    found = index.match(index.covered(note))
    distinct = set(terms) - {(code, frozenset()) for code in range(4)}

    def idf(word):
        in_terms = sum(word in term for _, term in distinct)
        in_notes = sum(any(word in sentence for sentence in of_note) for of_note in (note, further))
        return (log((1 + len(distinct)) / (1 + in_terms)) + log(3 / (1 + in_notes))) / 2

    for code in range(4):
        best = 0.0
        for of_code, term in distinct:
            total = sum(map(idf, term))
            for sentence in note:
                if of_code == code and total > 1e-9:
                    best = max(best, sum(map(idf, term & sentence)) / sqrt(total))
        assert found.scores[code] == pytest.approx(best, rel=1e-5, abs=1e-6)


def test_an_index_is_read_as_it_was_written(tmp_path):
    index = TermIndex.build([(0, words("acute pain")), (2, words("chest pain"))], 3, NO_NOTES)
    index.write(tmp_path, "terms")
    again = TermIndex.read(tmp_path, "terms", 3)
    note = [words("pain of the chest")]
    assert np.array_equal(again.match(again.covered(note)).scores, index.match(index.covered(note)).scores)
