"""Readers of corpora: raw tables in, the three standard tables out; one file per format, options in `config.corpora`.

A reader is imported on use, so that a run does not depend on the files of other corpora.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from medcode.config.corpora import module_of
from medcode.errors import UserError

if TYPE_CHECKING:
    from medcode.corpora.extraction import Extraction


def read(corpus: str, folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the raw files of a corpus.

    Args:
        corpus: name in params.yaml.
        folder: folder of its files.
        options: the corpus's block of params.yaml (`config.corpora.find(corpus)`).
        spool: an open file that buffers the texts until they are written; None keeps them in memory.

    Returns:
        The notes, the codes and the spans, one row per admission, per assigned code and per part of a span, and the
        counts.

    Raises:
        UserError: the corpus is unknown; a file or a column is missing; a file is damaged; the corpus is empty.
    """
    reader = importlib.import_module(f"medcode.corpora.{module_of(corpus)}")
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; the files of corpus '{corpus}' belong there")
    return reader.read(Path(folder), options, spool)
