"""Phrases of a note from the weights of its tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.evidence.spans import Span, best_spans, printable, sentence_of, word_weights
from medcode.text.offsets import word_offsets
from medcode.text.tokenization import RULES

NOTE = "Fever and chills. Known congestive\theart failure, type 2 diabetes\nno cough today"
PIECES = [
    "fever",
    "İstanbul",
    "\U0001f600",
    "e\u0301tat",
    "12",
    "<b>",
    "\x1b[2J",
    ".",
    " ",
    "\n",
    "\r\n",
    "\u00a0",
    "ﬁn",
]


def weigh(heavy: dict[str, float], note: str = NOTE) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of a note's words, and their weights: those given, else a little."""
    offsets = word_offsets(note, "caml")
    return offsets, np.array([heavy.get(note[start:end], 0.001) for start, end in offsets])


def test_neighboring_words_are_one_phrase():
    spans = best_spans(NOTE, *weigh({"congestive": 0.2, "heart": 0.4, "failure": 0.3}))
    assert [span.text for span in spans] == ["congestive\theart failure"]
    assert spans[0].weight == pytest.approx(0.9 / 0.909, abs=1e-3)


def test_a_word_between_two_heavy_ones_and_dropped_numbers_are_within_a_phrase():
    assert [span.text for span in best_spans(NOTE, *weigh({"congestive": 1, "failure": 1}))] == [
        "congestive\theart failure"
    ]
    assert [span.text for span in best_spans(NOTE, *weigh({"type": 1, "diabetes": 1}))] == ["type 2 diabetes"]


def test_punctuation_and_line_breaks_divide_phrases_and_the_heaviest_is_first():
    spans = best_spans(NOTE, *weigh({"failure": 0.2, "type": 0.4, "diabetes": 0.1, "no": 0.3}))
    assert [span.text for span in spans] == ["type 2 diabetes", "no", "failure"]


@pytest.mark.parametrize("weights", [np.ones(12), np.zeros(12), -np.ones(12), np.linspace(1, 2, 12)])
def test_no_word_stands_out_of_equal_or_negative_weights(weights):
    offsets = word_offsets(NOTE, "caml")
    assert len(offsets) == 12 and best_spans(NOTE, offsets, weights) == []


def test_a_short_note_has_evidence():
    assert [span.text for span in best_spans("Fever", *weigh({"Fever": 1}, "Fever"))] == ["Fever"]
    assert best_spans("", np.zeros((0, 2), np.int64), np.zeros(0)) == []


def test_parts_of_a_word_are_joined_and_blanks_are_no_part_of_it():
    # As subwords of bytes: "dia", "betes", " melli", "tus", ".", "\n"
    text, offsets = "diabetes mellitus.\n", np.array([[0, 3], [3, 8], [8, 14], [14, 17], [17, 18], [18, 19]])
    words, weights = word_weights(text, offsets, np.array([1.0, 2, 4, 8, 16, 32]))
    assert [text[start:end] for start, end in words] == ["diabetes", "mellitus", "."]
    assert weights.tolist() == [3, 12, 16]


@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60),
    st.sampled_from(sorted(RULES)),
    st.integers(0, 99),
)
def test_spans_are_slices_of_any_note_and_lie_in_their_sentences(note, rule, seed):
    offsets = word_offsets(note, rule)
    weights = np.random.default_rng(seed).pareto(1, len(offsets))
    spans = best_spans(note, offsets, weights)
    assert len(spans) <= 3 and [span.weight for span in spans] == sorted((span.weight for span in spans), reverse=True)
    for span in spans:
        assert note[span.start : span.end] == span.text and span.text.strip() == span.text != ""
        before, after = sentence_of(note, span)
        assert (before + printable(span.text) + after).isprintable()
        assert before.startswith("…") or before in printable(note)


def test_long_sentences_are_cut_around_the_span():
    text = "a" * 300 + " fever " + "b" * 300
    before, after = sentence_of(text, Span(301, 306, "fever", 1.0))
    assert before == "…" + "a" * 79 + " " and after == " " + "b" * 79 + "…"
