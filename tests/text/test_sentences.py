"""Sentences of notes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.text.sentences import ABBREVIATIONS, sentence_spans

# Texts in which what ends a sentence, and what prevents that, is frequent.
PIECES = [*'.?!\n\r\u2028 \u00a0\t()"«»¿', "\r\n", ". A", "Dr. B", "x", "É", "9", "_", "ej", "İ", "\U0001f600"]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\r\n ", []),
        ("No fever. Cough?  Yes! Home", ["No fever.", "Cough?", "Yes!", "Home"]),
        ("no fever. cough", ["no fever. cough"]),
        ("Hgb 9.5 and 9. Stable", ["Hgb 9.5 and 9.", "Stable"]),
        ("Plan:\naspirin\r\n  statin \n\nhome", ["Plan:", "aspirin", "statin", "home"]),
        ("Seen by Dr. Smith and J. Jones.", ["Seen by Dr. Smith and J. Jones."]),
        ("Visto por la Dra. López. Niega alergias.", ["Visto por la Dra. López.", "Niega alergias."]),
        ("Refiere dolor (ayer). ¿Fiebre? ¡Sí! Ágil", ["Refiere dolor (ayer).", "¿Fiebre?", "¡Sí!", "Ágil"]),
        ('He said "no." (He left.) «Fin». Then', ['He said "no."', "(He left.)", "«Fin».", "Then"]),
        ("Pain... Then none", ["Pain...", "Then none"]),
        ("p. ej. Aspirina, i.e. Bayer", ["p. ej. Aspirina, i.e. Bayer"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize("word", sorted(ABBREVIATIONS))
def test_no_abbreviation_ends_a_sentence(word):
    for spelled in (word, word.capitalize()):
        assert sentences(f"See {spelled}. Two") == [f"See {spelled}. Two"]
        assert sentences(f"See {spelled}? Two") == [f"See {spelled}?", "Two"]


@given(texts)
def test_spans_ascend_are_disjoint_and_cover_every_character_but_blanks(text):
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(before <= after for (_, before), (after, _) in itertools.pairwise(spans))
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(text[place].isspace() for place in set(range(len(text))) - covered)


@given(texts)
def test_no_sentence_contains_a_line_break(text):
    assert all(
        len(sentence.splitlines()) == 1 for sentence in sentences(text.translate(dict.fromkeys(b"\x1c\x1d\x1e")))
    )


def test_a_long_word_takes_no_long_time():
    assert sentences("_" * 200_000 + ". A" * 3) == ["_" * 200_000 + ".", "A. A. A"]
