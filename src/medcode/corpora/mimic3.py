"""MIMIC-III v1.4: NOTEEVENTS, DIAGNOSES_ICD, PROCEDURES_ICD.

The discharge summary of an admission is the text of all its rows of category "Discharge summary", addenda included,
in file order. Rows that MIMIC marks as errors are left out. Codes are read as text, so that no zero is lost, and
duplicates are removed; `legacy_codes` reproduces the errors of the papers' scripts. A table SPANS is read if there is
one; MIMIC has none, the synthetic corpus has. `evidence` adds the spans of MDACE.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from medcode.config.corpora.mimic3 import NO_EVIDENCE
from medcode.corpora import legacy_codes, mdace, tables
from medcode.corpora.extraction import Codes, Extraction, extraction
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.identifiers import whole_numbers

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
        options: `systems` lists which of icd9cm and icd9proc to read; `legacy_codes` reproduces the lost zeros;
            `evidence` is the folder of MDACE's files, from `folder` on, or none.

    Raises:
        UserError: a table or a column is missing, a file is damaged, or the corpus is empty.
    """
    evidence = {} if options.evidence == NO_EVIDENCE else mdace.read(folder / options.evidence)
    paths = {system: tables.find(folder, TABLES[system]) for system in options.systems}
    annotated = {row for admission in evidence.values() for row in admission.rows}
    notes, places, counts = _notes(tables.find(folder, "NOTEEVENTS"), spool, annotated)
    codes = Codes(notes.admissions)
    for system, path in paths.items():
        for chunk in tables.chunks(path, ["hadm_id", "icd9_code"], size=200_000):
            values = chunk["icd9_code"]
            if options.legacy_codes and system == "icd9proc":
                values = legacy_codes.read_as_numbers(values)
            codes.add(system, whole_numbers(chunk["hadm_id"]), values, source=str(path))
    if options.legacy_codes:
        codes.revise(legacy_codes.read_again)
    spans = Spans(notes)
    if path := tables.find_optional(folder, "SPANS"):
        tables.add_spans(spans, notes, path, options.systems)
    remarks: tuple[str, ...] = ()
    if evidence:
        counts["evidence"], left_out = mdace.add_spans(spans, notes, evidence, places, options.systems)
        counts["dropped"] |= left_out
        total = counts["evidence"]["annotations"]
        kept = total - sum(left_out.values())
        remarks = (f"evidence: {kept:,} of {total:,} annotations taken (metrics/extract.json counts the others)",)
    return extraction(notes, codes, spans=spans, remarks=remarks, **counts)


def _notes(
    path: Path, spool: BinaryIO | None, annotated: set[str]
) -> tuple[Notes, dict[str, tuple[str, int]], dict[str, Any]]:
    """Read the discharge summaries.

    Args:
        annotated: ROW_IDs of the notes with annotations. Without any, the table needs no ROW_ID.

    Returns:
        The notes; of the annotated ones {ROW_ID: (admission, number of the note within it)}; counts.
    """
    notes, categories = Notes(str(path), spool), Counter()
    places: dict[str, tuple[str, int]] = {}
    rows = errors = without_admission = undecodable = 0
    columns = ["subject_id", "hadm_id", "category", "iserror", "text", *(["row_id"] if annotated else [])]
    for chunk in tables.chunks(path, columns):
        rows += len(chunk)
        category = chunk["category"].str.strip()
        for name, count in category.value_counts(sort=False).items():
            categories[name if name in CATEGORIES else "other"] += int(count)
        chunk = chunk[category == CATEGORY]
        is_error = whole_numbers(chunk["iserror"]) == "1"
        errors += int(is_error.sum())
        chunk = chunk[~is_error]
        admissions, patients = whole_numbers(chunk["hadm_id"]), whole_numbers(chunk["subject_id"])
        row_ids = whole_numbers(chunk["row_id"]) if annotated else [""] * len(chunk)
        for row, admission, patient, text in zip(row_ids, admissions, patients, chunk["text"], strict=True):
            if not admission:
                without_admission += 1
                continue
            undecodable += "\ufffd" in text
            number = notes.add(admission, patient, text)
            if row in annotated:
                places[row] = (admission, number)
    counts = {
        "note_rows": rows,
        "note_rows_by_category": {name: categories[name] for name in sorted(categories)},
        "notes_with_undecodable_bytes": undecodable,
        "dropped": {
            "notes_of_other_categories": rows - categories[CATEGORY],
            "notes_marked_as_errors": errors,
            "notes_without_admission": without_admission,
        },
    }
    return notes, places, counts
