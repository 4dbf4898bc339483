"""Word tokenization by the rules of the papers."""

from __future__ import annotations

import itertools
import re

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


# Where the rules differ: text, then the words by caml, laat and edin.
DIFFERENCES = [
    ("Chest pain, x2 days.", "chest pain x2 days", "chest pain x2 days", "chest pain x2 days"),
    ("snake_case", "snake_case", "snake_case", "snake case"),
    ("Name: ____ left_", "name ____ left_", "name left_", "name left"),
    ("a 12 34 b", "a b", "a b", "a b"),
    ("12 leads, 7 at 9", "leads at", "leads at", "12 leads at 9"),
    (" 12 leads, 7 at 9.", "leads at", "leads at", "leads at"),
    ("120/80", "", "", "120 80"),
    ("12", "", "", "12"),
    ("500mg q6h 3rd", "500mg q6h 3rd", "500mg q6h 3rd", "500mg q6h 3rd"),
    ("on 2150_3 1_2 x", "on 2150_3 1_2 x", "on x", "on x"),
    ("[**Hospital1 18**]", "hospital1", "hospital1", "hospital1"),
    ("[**2150-3-4**] to [**Known lastname 5**] 6", "to known lastname", "to known lastname", "to known lastname 6"),
    ("D\u00c9J\u00c0 vu x\u00b2 \u00bd", "d\u00e9j\u00e0 vu x\u00b2", "d\u00e9j\u00e0 vu x\u00b2", "d j vu x"),
    ("o'clock follow-up", "o clock follow up", "o clock follow up", "o clock follow up"),
]


@pytest.mark.parametrize(("text", "caml", "laat", "edin"), DIFFERENCES)
def test_where_the_rules_differ(text, caml, laat, edin):
    words_of = {rule: " ".join(tokenize(text, rule)) for rule in ("caml", "laat", "edin")}
    assert words_of == {"caml": caml, "laat": laat, "edin": edin}


def substituted(text: str) -> list[str]:
    """The rule of Edin et al. as published, a sequence of substitutions."""
    text = re.sub("[^A-Za-z0-9]+", " ", text.lower())
    return re.sub(r"(\s\d+)+\s", " ", text).split()


@given(st.text(st.characters(exclude_characters="\u0130\u212a")) | st.text("aB10 _.\n", max_size=30))
def test_the_edin_rule_equals_its_substitutions(text):
    assert tokenize(text, "edin") == substituted(text)


@pytest.mark.parametrize("rule", RULES)
@given(text=st.text() | st.text(st.characters(max_codepoint=0x7F)))
def test_any_text_can_be_tokenized_and_spans_match_the_text(rule, text):
    words, places = tokenize(text, rule), spans(text, rule)
    assert [text[start:end].lower() for start, end in places] == words
    assert all(first[1] < second[0] for first, second in itertools.pairwise(places))
    assert not any(word.isspace() for word in words)


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_plain_text_is_split_as_by_nltk(text):
    by_nltk = RegexpTokenizer(r"\w+").tokenize(text)
    assert tokenize(text) == [word.lower() for word in by_nltk if not word.isnumeric()]


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(UserError, match="unknown tokenization rule 'camel'; did you mean 'caml'"):
        tokenize("text", "camel")
    assert set(RULES) == {"caml", "edin", "laat"}
