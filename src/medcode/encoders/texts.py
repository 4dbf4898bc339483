"""What of each note is cut into word pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tqdm import tqdm

from medcode.text.tokens import TokenizedWords, documents_of


def texts_of(text: str, tokens: str | os.PathLike, notes: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Admission and text of every document, in the order of notes.parquet, with a progress bar.

    Args:
        text: words or raw, as `text_of` has it.
        tokens: data/tokens.
        notes: notes.parquet; only for raw text is it read.
    """
    if text == "raw":
        yield from documents_of(notes)
        return
    words = TokenizedWords.read(tokens)
    for number, admission in enumerate(tqdm(words.notes.admissions, desc="read", unit="note", disable=None)):
        yield admission, " ".join(words.words(number))
