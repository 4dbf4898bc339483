"""CodiEsp v4 (CLEF eHealth 2020): clinical cases in Spanish and in machine-translated English, CC BY 4.0.

Codes of track D are ICD-10-CM, of track P ICD-10-PCS (some only categories of four characters). Each case counts
as one patient with one admission. The split is the published one; the background cases have no codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from medcode.codes import formatting
from medcode.corpora.extraction import Codes, Extraction, Notes, extraction
from medcode.errors import UserError

TRACKS = {"icd10cm": "D", "icd10pcs": "P"}
TEXTS = {"en": "text_files_en", "es": "text_files"}
LABELED = ("train", "dev", "test")


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the folders train, dev, test and, if it exists, background.

    Args:
        options: `language` (en or es) and `systems` (icd10cm, icd10pcs).

    Raises:
        UserError: a folder or a file is missing, a file is not UTF-8, a line is not a pair of a case and a code, or a
            code belongs to a case without a text.
    """
    notes = Notes(str(folder), spool)
    per_split = {}
    for split in (*LABELED, "background"):
        texts = folder / split / TEXTS[options.language]
        if split == "background" and not texts.is_dir():
            continue
        per_split[split] = _add_notes(notes, texts, split)
    codes = Codes(notes.admissions)
    for system in options.systems:
        for split in LABELED:
            path = folder / split / f"{split}{TRACKS[system]}.tsv"
            rows = _rows(path, system, notes)
            codes.add(system, rows["case"], rows["code"], source=str(path))
    return extraction(notes, codes, notes.added, notes_per_split=per_split)


def _add_notes(notes: Notes, folder: Path, split: str) -> int:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; `make corpus CORPUS=codiesp` fetches the corpus")
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
    for path in paths:
        if path.stem in notes:
            raise UserError(f"{path}: the case is in two splits")
        notes.add(path.stem, path.stem, _text(path), split)
    return len(paths)


def _rows(path: Path, system: str, notes: Notes) -> pd.DataFrame:
    """Read the pairs of case and code; codes are returned without their point."""
    cases, codes = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            raise UserError(f"{path}: line {number}: expected a case and a code, found {len(fields)} fields")
        case, code = (field.strip() for field in fields)
        if case not in notes:
            raise UserError(f"{path}: line {number}: there is no text of case {case[:40]}")
        try:
            code = formatting.normalized(code, system)
        except UserError as error:
            raise UserError(f"{path}: line {number}: {error}") from None
        cases.append(case)
        codes.append(formatting.undotted(code))
    return pd.DataFrame({"case": cases, "code": codes}, dtype="str")


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `make corpus CORPUS=codiesp` fetches the corpus") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error
