"""Places of tokens in the original note, in characters, for words and for subwords.

Offsets are int64 [N, 2]: start and end of each token in characters (Unicode code points) of the note, the end excluded.
Both ascend from token to token. Subwords that are parts of one character have that character in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medcode.text.tokenization import spans, tokenize

if TYPE_CHECKING:
    from medcode.encoders.subwords import SubwordTokenizer


def token_offsets(notes: list[str], rule: str, tokenizer: SubwordTokenizer | None = None) -> list[np.ndarray]:
    """Return the offsets of the tokens of each note.

    Args:
        notes: the original texts.
        rule: the rule by which text is tokenized into words.
        tokenizer: of the encoder, for a model on subwords; None for words.
    """
    if tokenizer is None:
        return [word_offsets(note, rule) for note in notes]
    if tokenizer.text == "raw":
        return tokenizer.offsets(notes)
    of_joined = tokenizer.offsets([" ".join(tokenize(note, rule)) for note in notes])
    return [in_note(offsets, note, rule) for offsets, note in zip(of_joined, notes, strict=True)]


def word_offsets(note: str, rule: str) -> np.ndarray:
    """Return the offsets of the words of a note."""
    return np.array(spans(note, rule), dtype=np.int64).reshape(-1, 2)


def in_note(offsets: np.ndarray, note: str, rule: str) -> np.ndarray:
    """Return the offsets in a note, of tokens whose offsets refer to the words of the note joined by blanks.

    A word that has another length in lower case (İ has two characters) is not divided: its parts have all of it.
    """
    words, in_text = tokenize(note, rule), word_offsets(note, rule)
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    starts = np.cumsum(lengths + 1) - lengths - 1
    first, last = (np.searchsorted(starts, characters, side="right") - 1 for characters in _ends(offsets))
    shift = in_text[:, 0] - starts
    same_length = lengths == in_text[:, 1] - in_text[:, 0]
    start = np.where(same_length[first], offsets[:, 0] + shift[first], in_text[first, 0])
    end = np.where(same_length[last], offsets[:, 1] + shift[last], in_text[last, 1])
    return np.stack([start, end], axis=1)


def _ends(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last character of each token."""
    return offsets[:, 0], np.maximum(offsets[:, 0], offsets[:, 1] - 1)


def sentence_tokens(offsets: np.ndarray, sentences: list[tuple[int, int]]) -> np.ndarray:
    """Return the tokens of each sentence: start and end of a slice of the note's tokens, int64 [S, 2].

    The slices cover all tokens, in order. Sentences without a token are left out, but a note without tokens has an
    empty one, so that every note has a sentence. A token belongs to the sentence of its last character: a blank that an
    encoder counts to the next word divides nothing.

    Args:
        offsets: of the tokens of a note.
        sentences: spans of characters, in the order of the note.
    """
    if not len(offsets):
        return np.zeros((1, 2), np.int64)
    starts = np.array([start for start, _ in sentences], dtype=np.int64)
    numbers = np.searchsorted(starts, _ends(offsets)[1], side="right").clip(min=1)
    first = np.flatnonzero(np.diff(numbers, prepend=0))
    return np.stack([first, np.append(first[1:], len(offsets))], axis=1)


def span_tokens(offsets: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the tokens of spans of characters: first and last + 1 of the note's tokens, int64 [K, 2].

    A span overlaps the characters from the start of token a to the end of token b - 1 exactly if its first lies before
    b, and its last + 1 behind a. Both are the same number for a span between two tokens, of dropped numbers for
    instance: a slice that has tokens on both sides of the span contains it.

    Args:
        offsets: of the tokens of a note.
        start, end: of the spans in characters, int64 [K].
    """
    first = np.searchsorted(offsets[:, 1], start, side="right")
    behind = np.searchsorted(offsets[:, 0], end, side="left")
    return np.stack([first, behind], axis=1).astype(np.int64)
