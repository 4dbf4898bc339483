"""Phrases of a note, as places in its text: its written diagnoses, or its sentences where it has none."""

from __future__ import annotations

import re

_DIAGNOSES = re.compile(
    r"^[ \t]*(?:(?:discharge|final)[ \t]+diagnos[ei]s|diagnos[ei]s[ \t]+(?:at|on|upon)[ \t]+discharge)\s*?(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
# A heading that divides the diagnoses begins no other section.
_OTHER = re.compile(
    r"^[ \t]*(?!(?i:(?:primary|principal|secondary|other|additional|active|acute|chronic)\b|[^:\n]*diagnos))"
    r"(?:[A-Z][^:\n]{1,60}:\s*?$|[A-Z][A-Z /&()-]{2,60}:|(?i:(?:discharge|condition|medications)\b[^:\n]{0,40}:))",
    re.MULTILINE,
)
_NUMBER = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*#])[ \t]+", re.MULTILINE)
# Between two sentences. Not `sentences`, of which all words of all models would depend.
_BREAK = re.compile(r"[\n;]|(?<=[.?!])\s+(?=[^\W\d_a-zß-ÿα-ω])")
_LINE, _PART = re.compile(r"[^\n]*(?:\n|\Z)"), re.compile(r"[^\n;]*(?:[\n;]|\Z)")


def phrase_spans(text: str) -> list[tuple[int, int]]:
    """Return the phrases of a note as spans of characters: start and end, the end excluded.

    They are the items of a list under the heading of the discharge diagnoses, up to the next heading. An item begins
    at a number or bullet and may have several lines; in a list with fewer than two of these, a line break or a
    semicolon ends it. A note without such items has its sentences as phrases; a line break or a semicolon ends one too.

    Source: Shi et al. 2017, "Towards Automated ICD Coding Using Deep Learning", of which the section and its items are.
    The expressions that find them, and sentences where there are none, are ours.

    Returns:
        Spans in the order of the text. They are disjoint, begin and end with a character that is no blank, and have a
        letter. No letter, digit or underscore follows directly.
    """
    return _with_letters(text, _diagnoses(text)) or _with_letters(text, _sentences(text))


def _with_letters(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(start, end) for start, end in spans if any(map(str.isalpha, text[start:end]))]


def _sentences(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for end, following in [*(gap.span() for gap in _BREAK.finditer(text)), (len(text), len(text))]:
        sentence = text[start:end]
        first = start + len(sentence) - len(sentence.lstrip())
        spans.append((first, first + len(sentence.strip())))
        start = following
    return spans


def _diagnoses(text: str) -> list[tuple[int, int]]:
    spans, heading = [], _DIAGNOSES.search(text)
    while heading is not None:
        following = _OTHER.search(text, heading.end())
        end = len(text) if following is None else following.start()
        spans += _items(text, heading.end(), end)
        heading = _DIAGNOSES.search(text, end)
    return spans


def _items(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the items of a list between two places of a text, without numbers, bullets, and headings within."""
    is_numbered = len(_NUMBER.findall(text, start, end)) > 1
    spans: list[tuple[int, int]] = []
    goes_on = False  # with an item of the line before
    for line in (_LINE if is_numbered else _PART).finditer(text, start, end):
        number = _NUMBER.match(text, *line.span())
        item = text[line.start() if number is None else number.end() : line.end()].strip(" \t\r\n;")
        if not item or item.endswith(":"):
            goes_on = False
            continue
        first = text.index(item, line.start() if number is None else number.end())
        if is_numbered and number is None and goes_on:
            spans[-1] = spans[-1][0], first + len(item)
        else:
            spans.append((first, first + len(item)))
        goes_on = True
    return spans
