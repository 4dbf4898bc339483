"""Mistakes by the user, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend: one line with what is wrong, where, and what would be right.

    Commands print it without a traceback and exit with code 2. Never put a note's text in it.
    """


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Says which of the candidates was probably meant, or lists them all when none is close."""
    candidates = sorted(str(candidate) for candidate in candidates)
    close = difflib.get_close_matches(str(word), candidates, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"valid: {', '.join(candidates)}" if candidates else "nothing is valid here"
