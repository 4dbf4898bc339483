"""Marks around the evidence of codes in unfinished text, which become spans of the finished note.

The sentences of a note are cut, shuffled, joined and misspelled before their places are known. A mark goes with them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Private-use characters, which stand in no template, name or description.
_OPEN, _SEPARATOR, _CLOSE = "\ue000\ue001\ue002"
_MARK = re.compile(f"{_OPEN}([^{_SEPARATOR}]+){_SEPARATOR}([^{_CLOSE}]+){_CLOSE}")


class Span(NamedTuple):
    """Evidence of a code in a text: start and end in characters, the end excluded."""

    code: str
    start: int
    end: int

    def moved(self, start: int, end: int) -> Span:
        """Return the span with both ends moved by some characters."""
        return Span(self.code, self.start + start, self.end + end)


def marked(text: str, code: str) -> str:
    """Mark a text, without blanks at its ends, as evidence of a code. Marks must not contain each other."""
    evidence = text.strip()  # a few names end in a blank
    before, _, after = text.partition(evidence)
    return f"{before}{_OPEN}{code}{_SEPARATOR}{evidence}{_CLOSE}{after}"


def unmarked(text: str) -> tuple[str, list[Span]]:
    """Remove the marks of a text, and return it with the spans that they enclosed."""
    pieces, spans, length, position = [], [], 0, 0
    for mark in _MARK.finditer(text):
        before, evidence = text[position : mark.start()], mark[2]
        start = length + len(before)
        spans.append(Span(mark[1], start, start + len(evidence)))
        pieces += [before, evidence]
        length, position = start + len(evidence), mark.end()
    return "".join([*pieces, text[position:]]), spans


def shifted(spans: list[Span], position: int, characters: int) -> list[Span]:
    """Return the spans of a text after characters were inserted behind a position, or (negative) removed at it."""
    return [span.moved(characters * (span.start > position), characters * (span.end > position)) for span in spans]
