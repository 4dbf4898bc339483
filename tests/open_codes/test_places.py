"""The words of a note for which an unseen code was found."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from medcode.open_codes.codes import CodeList
from medcode.open_codes.matching import NoteFrequencies, TermIndex
from medcode.open_codes.places import places
from medcode.open_codes.retrieval import Retriever
from medcode.open_codes.words import beginnings, words

DESCRIPTIONS = ["Fever", "Fracture of left femur", "Rupture of spleen"]


@pytest.fixture(scope="module")
def retriever():
    codes = CodeList([("icd10cm", str(n)) for n in range(3)], DESCRIPTIONS, 1, np.zeros(3, np.float32))
    terms = [(number, words(text)) for number, text in enumerate(DESCRIPTIONS)]
    begun = [(number, beginnings(term)) for number, term in terms]
    frequencies = NoteFrequencies(10, Counter(fever=5))
    return Retriever(codes, *(TermIndex.build(of, 3, frequencies) for of in (terms, begun)))


def found(retriever, text, number):
    return [(text[start:end], round(share, 3)) for start, end, share in places(retriever, text, number)]


def test_the_best_sentence_counts_and_its_words_share_the_weight(retriever):
    text = "The left arm is fine. FRACTURED left  Femurs, seen on X-ray. A fracture, old."
    assert [word for word, _ in found(retriever, text, 1)] == ["FRACTURED", "left", "Femurs"]
    assert sum(share for _, share in found(retriever, text, 1)) == pytest.approx(1, abs=0.01)
    assert found(retriever, "Spleen: no rupture.", 2) == [("Spleen", 0.5), ("rupture", 0.5)]


def test_places_are_those_of_the_note_with_odd_characters(retriever):
    text = "Paciente \N{GRINNING FACE} con\r\nrupture\u0301 — of the «spleen».\r\nAlta."
    assert [word for word, _ in found(retriever, text, 2)][-1] == "spleen"
    for start, end, _ in places(retriever, text, 2):
        assert text[start:end].strip() == text[start:end]


def test_a_note_without_its_words_has_none(retriever):
    assert found(retriever, "Nothing of the kind.", 1) == []
    assert found(retriever, "", 1) == []
