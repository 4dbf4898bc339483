"""MIMIC-III v1.4: NOTEEVENTS, DIAGNOSES_ICD, PROCEDURES_ICD.

The discharge summary of an admission is the text of all its rows of category "Discharge summary", addenda included,
in file order. Rows that MIMIC marks as errors are left out. Codes are read as text, so that no zero is lost, and
duplicates are removed; `legacy_codes` reproduces the errors of the papers' scripts. A table SPANS is read if there is
one; MIMIC has none, the synthetic corpus has.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora import legacy_codes, tables
from medcode.corpora.extraction import Codes, Extraction, extraction, identifiers
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans

CATEGORY = "Discharge summary"
# Only these names may reach the metrics: in a damaged table, the column of categories could hold text of notes.
CATEGORIES = (
    "Case Management", "Consult", "Discharge summary", "ECG", "Echo", "General", "Nursing", "Nursing/other",
    "Nutrition", "Pharmacy", "Physician", "Radiology", "Rehab Services", "Respiratory", "Social Work",
)  # fmt: skip

TABLES = {"icd9cm": "DIAGNOSES_ICD", "icd9proc": "PROCEDURES_ICD"}


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the tables of MIMIC-III, or of a corpus in its format.

    Args:
        options: `systems` lists which of icd9cm and icd9proc to read; `legacy_codes` reproduces the lost zeros.

    Raises:
        UserError: a table or a column is missing, a file is damaged, or the corpus is empty.
    """
    paths = {system: tables.find(folder, TABLES[system]) for system in options.systems}
    notes, counts = _notes(tables.find(folder, "NOTEEVENTS"), spool)
    codes = Codes(notes.admissions)
    for system, path in paths.items():
        for chunk in tables.chunks(path, ["hadm_id", "icd9_code"], size=200_000):
            values = chunk["icd9_code"]
            if options.legacy_codes and system == "icd9proc":
                values = legacy_codes.read_as_numbers(values)
            codes.add(system, identifiers(chunk["hadm_id"]), values, source=str(path))
    if options.legacy_codes:
        codes.revise(legacy_codes.read_again)
    spans = Spans(notes)
    if path := tables.find_optional(folder, "SPANS"):
        tables.add_spans(spans, notes, path, options.systems)
    return extraction(notes, codes, spans=spans, **counts)


def _notes(path: Path, spool: BinaryIO | None) -> tuple[Notes, dict[str, Any]]:
    notes, categories = Notes(str(path), spool), Counter()
    rows = errors = without_admission = undecodable = 0
    for chunk in tables.chunks(path, ["subject_id", "hadm_id", "category", "iserror", "text"]):
        rows += len(chunk)
        category = chunk["category"].str.strip()
        for name, count in category.value_counts(sort=False).items():
            categories[name if name in CATEGORIES else "other"] += int(count)
        chunk = chunk[category == CATEGORY]
        is_error = identifiers(chunk["iserror"]) == "1"
        errors += int(is_error.sum())
        chunk = chunk[~is_error]
        admissions, patients = identifiers(chunk["hadm_id"]), identifiers(chunk["subject_id"])
        for admission, patient, text in zip(admissions, patients, chunk["text"], strict=True):
            if not admission:
                without_admission += 1
                continue
            undecodable += "\ufffd" in text
            notes.add(admission, patient, text)
    return notes, {
        "note_rows": rows,
        "note_rows_by_category": {name: categories[name] for name in sorted(categories)},
        "notes_with_undecodable_bytes": undecodable,
        "dropped": {
            "notes_of_other_categories": rows - categories[CATEGORY],
            "notes_marked_as_errors": errors,
            "notes_without_admission": without_admission,
        },
    }
