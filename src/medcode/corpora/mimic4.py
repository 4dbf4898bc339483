"""MIMIC-IV v2.2 with MIMIC-IV-Note v2.2: discharge, diagnoses_icd, procedures_icd.

Each row of a code table gives the ICD version, 9 or 10; codes are padded with blanks. The tables are searched in note/
and hosp/, as published, and in the folder itself. A table spans is read if there is one; MIMIC has none, the synthetic
corpus has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora import tables
from medcode.corpora.extraction import Codes, Extraction, extraction
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError
from medcode.identifiers import whole_numbers

TABLES = {
    "diagnoses_icd": {"9": "icd9cm", "10": "icd10cm"},
    "procedures_icd": {"9": "icd9proc", "10": "icd10pcs"},
}


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the tables of MIMIC-IV, or of a corpus in its format.

    Args:
        options: `systems` lists which of icd9cm, icd9proc, icd10cm and icd10pcs to read.

    Raises:
        UserError: a table or a column is missing, a file is damaged, a version is neither 9 nor 10, or the corpus is
            empty.
    """
    paths = {
        table: tables.find(folder, table, ("hosp", ""))
        for table, systems in TABLES.items()
        if set(systems.values()) & set(options.systems)
    }
    notes, counts = _notes(tables.find(folder, "discharge", ("note", "")), spool)
    codes = Codes(notes.admissions)
    rows = {table: _add_codes(codes, path, TABLES[table], options.systems) for table, path in paths.items()}
    spans = Spans(notes)
    if path := tables.find_optional(folder, "spans", ("note", "")):
        tables.add_spans(spans, notes, path, options.systems)
    return extraction(notes, codes, spans=spans, code_rows_by_table=rows, **counts)


def _notes(path: Path, spool: BinaryIO | None) -> tuple[Notes, dict[str, Any]]:
    notes = Notes(str(path), spool)
    rows = without_admission = undecodable = 0
    for chunk in tables.chunks(path, ["subject_id", "hadm_id", "text"]):
        rows += len(chunk)
        admissions, patients = whole_numbers(chunk["hadm_id"]), whole_numbers(chunk["subject_id"])
        for admission, patient, text in zip(admissions, patients, chunk["text"], strict=True):
            if not admission:
                without_admission += 1
                continue
            undecodable += "\ufffd" in text
            notes.add(admission, patient, text)
    return notes, {
        "note_rows": rows,
        "notes_with_undecodable_bytes": undecodable,
        "dropped": {"notes_without_admission": without_admission},
    }


def _add_codes(codes: Codes, path: Path, versions: dict[str, str], systems: list[str]) -> int:
    """Add the codes of a table, and return its number of rows."""
    rows = 0
    for chunk in tables.chunks(path, ["hadm_id", "icd_code", "icd_version"], size=200_000):
        version = whole_numbers(chunk["icd_version"])
        is_invalid = ~version.isin(list(versions))
        if is_invalid.any():
            row = rows + int(is_invalid.to_numpy().argmax()) + 1
            raise UserError(f"{path}: row {row}: ICD_VERSION must be 9 or 10")
        rows += len(chunk)
        for name, system in versions.items():
            if system in systems:
                part = chunk[version == name]
                codes.add(system, whole_numbers(part["hadm_id"]), part["icd_code"], source=str(path))
    return rows
