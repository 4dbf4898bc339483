"""The page of a note: its text with marked evidence beside its codes, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

from medcode.evidence.spans import Span
from medcode.inference.predict import PredictedCode


class Segment(NamedTuple):
    """A part of a note: its text, and the numbers of the codes whose evidence it is."""

    text: str
    codes: list[int]


def segments(text: str, spans: Sequence[Sequence[Span]]) -> list[Segment]:
    """Divide a note where the evidence of a code begins or ends.

    Args:
        text: the note.
        spans: of each code.

    Returns:
        Segments that join to the note.
    """
    ends = sorted({0, len(text), *(end for of_code in spans for span in of_code for end in (span.start, span.end))})
    return [
        Segment(
            text[start:end],
            [n for n, of_code in enumerate(spans) if any(span.start <= start and end <= span.end for span in of_code)],
        )
        for start, end in pairwise(ends)
    ]


def render(text: str, model: str, method: str, codes: Sequence[PredictedCode]) -> str:
    """Return the page, which needs no other file and no network.

    Args:
        text: the note.
        model: its name.
        method: of attribution.
        codes: as in a prediction, each with `spans`.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    spans = [[Span(*span) for span in code["spans"]] for code in codes]
    return template.render(segments=segments(text, spans), codes=codes, model=model, method=method)
