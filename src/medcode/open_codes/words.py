"""Words of terms and of sentences, in a form in which they can be compared."""

from __future__ import annotations

import re
import unicodedata

from medcode.text.sentences import sentence_spans
from medcode.text.stop_words import STOP_WORDS

Sentence = frozenset[str]  # of words

# Letters of a beginning. Chosen on dev: pulmonary and pulmonic begin alike, and so does Spanish pulmonar.
_BEGINNING = 6
_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> Sentence:
    """Return the words of a text: lower case, no accents, without the s of a plural, and without stop words."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return frozenset(map(_singular, _WORD.findall(plain))) - STOP_WORDS


def sentences(text: str) -> list[Sentence]:
    """Return the words of each sentence of a note."""
    return [words(text[start:end]) for start, end in sentence_spans(text)]


def beginnings(sentence: Sentence) -> Sentence:
    """Return the first letters of each word."""
    return frozenset(word[:_BEGINNING] for word in sentence)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
