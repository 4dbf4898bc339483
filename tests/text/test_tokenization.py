"""Words, by the rule of the papers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize import RegexpTokenizer

from medcode.errors import UserError
from medcode.text.tokenization import RULES, spans, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t.,;", []),
        ("Chest pain, x2 days.", ["chest", "pain", "x2", "days"]),
        ("120/80 98.6 2150", []),
        ("500mg q6h 3rd", ["500mg", "q6h", "3rd"]),
        ("12 leads at the start, 7 at the end 9", ["leads", "at", "the", "start", "at", "the", "end"]),
        ("snake_case _ __ _12", ["snake_case", "_", "__", "_12"]),
        ("[**Hospital1 18**] [**2150-3-4**]", ["hospital1"]),
        ("follow-up o'clock", ["follow", "up", "o", "clock"]),
        ("Crohn's DÉJÀ ñandú Ärzte", ["crohn", "s", "déjà", "ñandú", "ärzte"]),
        ("٣٤ ½ ² Ⅷ 五 x²", ["x²"]),
        ("two\nlines\r\nand\u00a0more", ["two", "lines", "and", "more"]),
    ],
)
def test_the_caml_rule(text, words):
    assert tokenize(text, "caml") == words


@given(st.text())
def test_any_text_can_be_read_and_spans_lead_back_to_it(text):
    words, places = tokenize(text), spans(text)
    assert [text[start:end].lower() for start, end in places] == words
    assert all(first[1] < second[0] for first, second in itertools.pairwise(places))
    assert not any(word.isnumeric() or word.isspace() for word in words)


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_plain_text_is_split_as_nltk_splits_it(text):
    by_nltk = RegexpTokenizer(r"\w+").tokenize(text)
    assert tokenize(text) == [word.lower() for word in by_nltk if not word.isnumeric()]


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(UserError, match="unknown tokenisation rule 'camel'; did you mean 'caml'"):
        tokenize("text", "camel")
    assert set(RULES) == {"caml"}
