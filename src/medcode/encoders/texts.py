"""The texts of notes that are tokenized into subwords."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tqdm import tqdm

from medcode.text.tokens import TokenizedWords, documents_of


def texts_of(text: str, tokens: str | os.PathLike, notes: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Yield admission and text of every document, in the order of notes.parquet, with a progress bar.

    Args:
        text: words or raw, see `text_of`.
        tokens: data/tokens.
        notes: notes.parquet, read only for raw text.
    """
    if text == "raw":
        yield from documents_of(notes)
        return
    words = TokenizedWords.read(tokens)
    for number, admission in enumerate(tqdm(words.notes.admissions, desc="read", unit="note", disable=None)):
        yield admission, " ".join(words.words(number))
