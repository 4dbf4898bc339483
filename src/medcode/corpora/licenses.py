"""Corpora whose notes anybody may have, and those whose notes, and what is counted in them, are restricted."""

from __future__ import annotations

OPEN_CORPORA = {
    "synthetic-mimic3": "made by this project",
    "synthetic-mimic4": "made by this project",
    "codiesp": "CC BY 4.0",
    "cantemist": "CC BY 4.0",
}


def is_open(corpus: str) -> bool:
    """Return whether anybody may have the notes of a corpus. Every corpus that is not listed is restricted."""
    return corpus in OPEN_CORPORA
