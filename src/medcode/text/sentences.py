"""Sentences of a note, as places in its text."""

from __future__ import annotations

import re

# A period after these words, or after a single letter, ends no sentence. English and Spanish.
ABBREVIATIONS = frozenset({
    "al", "approx", "aprox", "art", "cap", "cf", "dcha", "dept", "dr", "dra", "dres", "drs", "ed", "ej", "fig", "figs",
    "gral", "hosp", "inc", "izda", "izq", "jr", "ltd", "mr", "mrs", "ms", "núm", "núms", "pág", "págs", "prof", "profa",
    "ref", "sr", "sra", "srta", "st", "sta", "sto", "tto", "ud", "uds", "vd", "vol", "vs",
})  # fmt: skip
_LINE = re.compile(r"[^\n\v\f\r\x85\u2028\u2029]+")
# The end of a sentence within a line: a word, signs, closing brackets and quotes, blanks; then opening ones, a letter.
_END = re.compile(
    r"(?<!\w)(?P<word>\w*)(?P<signs>[.?!]++)[)\]}\"'\u2019\u201d»]*+(?P<blanks>\s++)"
    r"(?=[(\[{\"'\u2018\u201c«¿¡]*+(?P<letter>[^\W\d_]))"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text as spans of characters: start and end, the end excluded.

    A line break ends a sentence. Within a line, one ends after a period, question mark or exclamation mark that blanks
    and a capital letter follow. A period behind a single letter or an abbreviation ends none.

    Returns:
        Spans in the order of the text. They are disjoint, begin and end with a character that is no blank, and cover
        every character that is none.
    """
    spans = []
    for line in _LINE.finditer(text):
        start = line.start()
        for end in _END.finditer(text, *line.span()):
            if _ends_sentence(end["word"], end["signs"], end["letter"]):
                spans.append((start, end.start("blanks")))
                start = end.end("blanks")
        spans.append((start, line.end()))
    return [span for start, end in spans if (span := _without_blanks(text, start, end))]


def _ends_sentence(word: str, signs: str, following: str) -> bool:
    is_abbreviation = signs == "." and ((len(word) == 1 and word.isalpha()) or word.lower() in ABBREVIATIONS)
    return (following.isupper() or following.istitle()) and not is_abbreviation


def _without_blanks(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span without the blanks at both ends; None if it has nothing else."""
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end = start + len(text[start:end].rstrip())
    return (start, end) if start < end else None
