"""Spans: the phrases of a note that are the evidence of a code, from the weights of its tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from medcode.text.sentences import sentence_spans

MOST_SPANS = 3
# A code has evidence if its best word has this many times the mean weight of all words; in a short note, this share of
# the whole weight is enough. Its evidence is the words with this share of the best word's weight, if above the mean.
TIMES_MEAN, SHARE_OF_ALL, SHARE_OF_BEST = 3.0, 0.4, 0.2
_DIVIDES = re.compile(r"[.,;:!?()\[\]]|[\n\v\f\r\x85\u2028\u2029]")


class Span(NamedTuple):
    """A phrase of a note: start and end in characters, its text, and its share of the code's positive weight."""

    start: int
    end: int
    text: str
    weight: float


def best_spans(text: str, offsets: np.ndarray, weights: np.ndarray, most: int = MOST_SPANS) -> list[Span]:
    """Return the phrases of a note with the most weight, heaviest first; none if no word stands out.

    Weights count by their share of all positive weights. A word's weight is that of its tokens. Chosen words that are
    neighbors, or have one word between them, are one phrase, unless punctuation or a line break divides them.

    Args:
        text: the note.
        offsets: start and end of each token in characters, int64 [N, 2].
        weights: of the tokens for one code [N].
        most: number of phrases at most.
    """
    words, of_words = word_weights(text, offsets, weights)
    positive = np.maximum(of_words, 0)
    if not len(words) or not (total := positive.sum()) > 0:
        return []
    shares, mean = positive / total, 1 / len(words)
    if shares.max() < min(TIMES_MEAN * mean, SHARE_OF_ALL):
        return []
    chosen = shares >= max(SHARE_OF_BEST * shares.max(), mean)
    return phrases(text, words, np.where(chosen, shares, 0))[:most]


def phrases(text: str, words: np.ndarray, shares: np.ndarray) -> list[Span]:
    """Join words of a note to phrases, heaviest first.

    Args:
        text: the note.
        words: start and end of each of its words in characters, int64 [W, 2].
        shares: of the words [W]; those with 0 are in a phrase only between two others.
    """
    chosen = np.flatnonzero(shares)
    groups: list[tuple[int, int]] = []
    for number in chosen.tolist():
        first, last = groups[-1] if groups else (number, number)
        if groups and number - last <= 2 and not _DIVIDES.search(text, words[last, 1], words[number, 0]):
            groups[-1] = first, number
        else:
            groups.append((number, number))
    spans = []
    for first, last in groups:
        start, end = int(words[first, 0]), int(words[last, 1])
        spans.append(Span(start, end, text[start:end], round(float(shares[first : last + 1].sum()), 4)))
    return sorted(spans, key=lambda span: -span.weight)


def word_weights(text: str, offsets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of words, int64 [W, 2], and the sums of the weights of their tokens [W].

    Tokens that touch within letters and digits are parts of one word. Blanks around a token are not part of it, and a
    token without other characters is none.
    """
    words: list[tuple[int, int]] = []
    sums: list[float] = []
    for (start, end), weight in zip(offsets.tolist(), weights.tolist(), strict=True):
        token = text[start:end]
        start += len(token) - len(token.lstrip())
        end = start + len(token.strip())
        if start >= end:
            continue
        if words and start <= words[-1][1] and text[start].isalnum() and text[words[-1][1] - 1].isalnum():
            words[-1], sums[-1] = (words[-1][0], max(end, words[-1][1])), sums[-1] + weight
        else:
            words.append((start, end))
            sums.append(weight)
    return np.array(words, dtype=np.int64).reshape(-1, 2), np.array(sums)


def sentence_of(text: str, span: Span, longest: int = 160) -> tuple[str, str]:
    """Return what is before and behind a span in its sentence, at most `longest` characters in all but the span.

    Characters that cannot be printed, a terminal's control sequences among them, become blanks.
    """
    start, end = span.start, span.end
    for first, behind in sentence_spans(text):
        if first < span.end and span.start < behind:
            start, end = min(start, first), max(end, behind)
    room = longest // 2
    before, after = text[start : span.start], text[span.end : end]
    before = before if len(before) <= room else "…" + before[-room:]
    after = after if len(after) <= room else after[:room] + "…"
    return printable(before), printable(after)


def printable(text: str) -> str:
    """Return a text with a blank for each character that cannot be printed."""
    return "".join(character if character.isprintable() else " " for character in text)
