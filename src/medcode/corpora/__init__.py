"""Corpora: raw tables in, the two standard tables out. One file per corpus.

The readers are imported when they are asked for, so that a stage that needs one part of this package does not depend
on the files of the others.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from medcode.errors import UserError, nearest

if TYPE_CHECKING:
    from medcode.corpora.extraction import Extraction

READERS = {
    "synthetic-mimic3": "mimic3",
    "synthetic-mimic4": "mimic4",
    "mimic3": "mimic3",
    "mimic4": "mimic4",
    "codiesp": "codiesp",
    "jsonl": "jsonl",
}


def read(corpus: str, folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Reads the raw files of a corpus.

    Args:
        corpus: its name in params.yaml.
        folder: where its files are.
        options: the corpus's block of params.yaml (`config.Mimic3` and so on).
        spool: an open file that takes the texts until they are written; without one they stay in memory.

    Returns:
        The notes and the codes, one row per admission and one per assigned code, and the counts.

    Raises:
        UserError: the corpus is unknown; a file or a column is missing; a file is damaged; nothing is left.
    """
    if corpus not in READERS:
        raise UserError(f"unknown corpus '{corpus}'; {nearest(corpus, READERS)}")
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; the files of corpus '{corpus}' belong there")
    reader = importlib.import_module(f"medcode.corpora.{READERS[corpus]}")
    return reader.read(Path(folder), options, spool)
