"""CodiEsp v4 (CLEF eHealth 2020): clinical cases in Spanish and in machine-translated English, CC BY 4.0.

Codes of track D are ICD-10-CM, of track P ICD-10-PCS (some only categories of four characters). The split is the
published one; the background cases have no codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora.cases import Cases
from medcode.corpora.extraction import Codes, Extraction, Notes, extraction

CORPUS = "codiesp"
TEXTS = {"en": "text_files_en", "es": "text_files"}
LABELED = ("train", "dev", "test")


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the folders train, dev, test and, if it exists, background.

    Args:
        options: `language` (en or es) and `track` (D, P or both).

    Raises:
        UserError: a folder or a file is missing, a file is not UTF-8, a line is not a pair of a case and a code, or a
            code belongs to a case without a text.
    """
    notes = Notes(str(folder), spool)
    cases = Cases(CORPUS, notes)
    texts = {split: folder / split / TEXTS[options.language] for split in (*LABELED, "background")}
    if not texts["background"].is_dir():
        del texts["background"]
    per_split = {split: cases.add_texts(path, split) for split, path in texts.items()}
    codes = Codes(notes.admissions)
    for track, system in options.tracks.items():
        for split in LABELED:
            path = folder / split / f"{split}{track}.tsv"
            rows = cases.codes(path, system)
            codes.add(system, rows["case"], rows["code"], source=str(path))
    return extraction(notes, codes, notes.added, notes_per_split=per_split)
