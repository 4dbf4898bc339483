"""Phrases of notes: written diagnoses, or sentences."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.text.offsets import word_offsets
from medcode.text.phrases import phrase_spans
from medcode.text.tokenization import PHRASE_END, PHRASE_RULES, spans, tokenize

# Texts in which headings, items, and what stands between them are frequent.
PARTS = [
    *"\n\n\r\t ;:.Ax9_é", "Discharge Diagnosis:\n", "\nDischarge Diagnoses:\n", "\nDischarge Condition:\n", "\n1. ",
    "\n2) ", "\n- ", "\nPrimary:\n", "\n\n", "\n \n", "Mild. Then",
]  # fmt: skip
texts = st.lists(st.sampled_from(PARTS), max_size=30).map("".join) | st.text(max_size=60)


def phrases(text: str) -> list[str]:
    return [text[start:end] for start, end in phrase_spans(text)]


def note(diagnoses: str, heading: str = "Discharge Diagnosis:\n", after: str = "\nDischarge Condition:\nGood") -> str:
    return f"Chief Complaint:\nchest pain\n\n{heading}{diagnoses}\n{after}"


@pytest.mark.parametrize(
    ("diagnoses", "expected"),
    [
        ("Pneumonia\nHTN, stable\n", ["Pneumonia", "HTN, stable"]),
        ("Pneumonia; HTN;\n", ["Pneumonia", "HTN"]),
        ("1. Pneumonia\n2. HTN\n10. Gout; acute", ["Pneumonia", "HTN", "Gout; acute"]),
        ("1) Pneumonia\n  2) HTN", ["Pneumonia", "HTN"]),
        ("- Pneumonia\n* HTN\n", ["Pneumonia", "HTN"]),
        ("1. Fracture of the\n   left hip\n2. HTN", ["Fracture of the\n   left hip", "HTN"]),
        ("1. Pneumonia\r\nof the left\r\n2. HTN\r\n", ["Pneumonia\r\nof the left", "HTN"]),
        ("1. Pneumonia\n2. HTN\n\nGout\nAnemia", ["Pneumonia", "HTN", "Gout\nAnemia"]),
        ("1. Pneumonia\nHTN\nGout", ["Pneumonia", "HTN", "Gout"]),  # only the principal one has a number
        ("Primary Diagnosis:\nPneumonia\n\nSecondary:\nHTN", ["Pneumonia", "HTN"]),
        ("1. Pneumonia\n\nSECONDARY DIAGNOSES:\n1. HTN\n \n2. Gout", ["Pneumonia", "HTN", "Gout"]),
        ("Pneumonia\n\nOncologic diagnoses:\nLymphoma", ["Pneumonia", "Lymphoma"]),
        ("Pneumonia\n486\n--", ["Pneumonia"]),
    ],
)
def test_items_of_the_discharge_diagnoses(diagnoses, expected):
    assert phrases(note(diagnoses)) == expected


@pytest.mark.parametrize(
    "heading",
    [
        "DISCHARGE DIAGNOSES: ", "discharge diagnosis:\n", "Final Diagnosis:\n", "  Discharge  Diagnosis \n",
        "DIAGNOSES AT DISCHARGE:\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "after",
    ["Discharge Condition: good", "DISCHARGE MEDICATIONS: none", "Medications on discharge:\nnone", "", "Plan:\n"],
)
def test_headings_that_begin_and_end_the_diagnoses(heading, after):
    assert phrases(note("Pneumonia\nHTN", heading, after)) == ["Pneumonia", "HTN"]


def test_several_lists_are_joined():
    text = note("Pneumonia") + "\n\n" + note("1. HTN\n2. Gout", after="")
    assert phrases(text) == ["Pneumonia", "HTN", "Gout"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("120/80 486", []),
        ("No fever. Cough\nGout 9", ["No fever.", "Cough", "Gout 9"]),
        ("discharge diagnosis of asthma", ["discharge diagnosis of asthma"]),
        (note("486\n", after=""), ["Chief Complaint:", "chest pain", "Discharge Diagnosis:"]),
    ],
)
def test_without_diagnoses_phrases_are_sentences_with_letters(text, expected):
    assert phrases(text) == expected


def test_phrases_are_words_with_an_end_between_them():
    text = note("1. Pneumonia, 2 lobes\n2. HTN")
    assert tokenize(text, "diagnoses") == ["pneumonia", "lobes", PHRASE_END, "htn"]
    assert [text[start:end] for start, end in spans(text, "diagnoses")] == ["Pneumonia", "lobes", "\n", "HTN"]


@given(texts)
def test_phrases_are_disjoint_and_their_words_have_places(text):
    found = phrase_spans(text)
    for start, end in found:
        assert 0 <= start < end <= len(text) and text[start:end].strip() == text[start:end]
        assert not (text[end : end + 1].isalnum() or text[end : end + 1] == "_")
    assert all(first[1] < second[0] for first, second in itertools.pairwise(found))
    words, places = tokenize(text, "diagnoses"), spans(text, "diagnoses")
    assert words.count(PHRASE_END) == max(0, len(found) - 1)
    assert len(words) == len(places) == len(word_offsets(text, "diagnoses"))
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(places))
    for word, (start, end) in zip(words, places, strict=True):
        assert word == text[start:end].lower() or (word == PHRASE_END and end == start + 1)
    joined = [word for start, end in found for word in tokenize(text[start:end])]
    assert [word for word in words if word != PHRASE_END] == joined
    assert PHRASE_RULES["diagnoses"].words(text) == [
        text[start:end] for start, end in PHRASE_RULES["diagnoses"].places(text)
    ]
