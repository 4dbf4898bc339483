"""Your own tables, in CSV or Parquet, with the names of columns that `corpora.table` of params.yaml gives.

A row of the table of notes is a note. Notes of one admission are joined in the order of their dates, else of the file.
Codes stand in columns of the same table or of others. Nothing is guessed: a mistake is an error that names file, row
and column. Rows count from 1 behind the header.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

from medcode.codes import formatting
from medcode.config.corpora.table import NONE, CodeColumn
from medcode.corpora.extraction import Extraction, collected, extraction
from medcode.corpora.notes import SPLITS, Notes
from medcode.errors import UserError, nearest
from medcode.identifiers import SHOWN, identifier, present, whole_number
from medcode.table_files import rows

KEY = "corpora.table"
ADMISSION = f"{KEY}.admission"
A_SYSTEM = f"a column or one of {', '.join(formatting.SYSTEMS)}"


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the tables of a folder.

    Args:
        options: files and columns, and `systems`, the code systems to keep (`config.corpora.table`).

    Raises:
        UserError: a file or a column is missing; a file is damaged; a row has an id, a date, a split, a system or a
            code of another form; a note has no text or comes twice; an admission has two patients or splits; a code's
            admission has a note under another form of its id; the corpus is empty.
    """
    notes = Notes(str(folder), spool)
    counts = _add_notes(notes, _existing(folder / options.notes, "notes"), options)
    assigned: list[tuple[str, str, str]] = []
    dropped: Counter[str] = Counter(fields_without_code=0, codes_without_note=0)
    for file in dict.fromkeys(column.file for column in options.codes):
        columns = {f"codes.{i}": column for i, column in enumerate(options.codes) if column.file == file}
        path = _existing(folder / file, f"{next(iter(columns))}.file")
        assigned.extend(_codes(notes, path, columns, options, dropped))
    codes, dropped["codes_of_other_systems"] = collected(notes, assigned, options.systems)
    without_note = dropped["codes_without_note"]
    remarks = (f"table: {without_note:,} codes of admissions without a note are left out",) if without_note else ()
    return extraction(notes, codes, counts["note_rows"], {"rows_blank": counts["blank"], **dropped}, remarks=remarks)


def _existing(path: Path, key: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file; put it there, or name another one in params.yaml: {KEY}.{key}")
    return path


def _add_notes(notes: Notes, path: Path, options: Any) -> dict[str, int]:
    chosen = {key: getattr(options, key) for key in ("admission", "text", "patient", "date", "split")}
    columns = {key: column for key, column in chosen.items() if key in ("admission", "text") or column != NONE}
    dates: dict[str, list[datetime]] = {}
    owners: dict[str, tuple[str, str | None]] = {}
    first_rows: dict[bytes, int] = {}  # of each note, by a digest
    counts = {"note_rows": 0, "blank": 0}
    for number, values in rows(path, [(column, f"{KEY}.{key}") for key, column in columns.items()]):
        counts["note_rows"] += 1
        row = dict(zip(columns, values, strict=True))
        if all(_is_blank(value) for value in values):
            counts["blank"] += 1
            continue
        with _at(path, number):
            admission = present(row["admission"], _column(columns["admission"]))
            patient = present(row["patient"], _column(columns["patient"])) if "patient" in row else admission
            text = _text(row["text"], columns["text"])
            day = _date(row["date"], columns["date"]) if "date" in row else datetime.min
            split = _split(row["split"], columns["split"]) if "split" in row else None
            if owners.setdefault(admission, (patient, split)) != (patient, split):
                raise UserError(f"admission {admission[:SHOWN]} has another patient or split in a row before")
            digest = hashlib.sha256(f"{admission}\0{day}\0{text}".encode()).digest()
            if (first := first_rows.setdefault(digest, number)) != number:
                raise UserError(f"the same note of admission {admission[:SHOWN]} as row {first}; remove one of them")
            dates.setdefault(admission, []).append(day)
            if (day.tzinfo is None) != (dates[admission][0].tzinfo is None):
                raise UserError(f"{_column(columns['date'])}: some dates of the admission have a time zone, others not")
            notes.add(admission, patient, text, split)
    notes.sort(dates)
    return counts


def _codes(
    notes: Notes, path: Path, code_columns: dict[str, CodeColumn], options: Any, dropped: Counter[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield admission, system and code of each code in some columns of one table, and count empty fields.

    Args:
        code_columns: {key in the options: column}.
    """
    wanted: list[tuple[str, str]] = []
    places: list[slice] = []
    for key, one in code_columns.items():
        start = len(wanted)
        wanted.append((one.admission, f"{KEY}.{key}.admission") if one.admission else (options.admission, ADMISSION))
        wanted.append((one.code, f"{KEY}.{key}.code"))
        if one.system not in formatting.SYSTEMS:
            wanted.append((one.system, f"{KEY}.{key}.system, {A_SYSTEM}"))
        places.append(slice(start, len(wanted)))
    forms = {_number(admission): admission for admission in notes.admissions}
    for number, values in rows(path, wanted):
        for one, place in zip(code_columns.values(), places, strict=True):
            admission_value, value, *system = values[place]
            items = _items(value, one.separator)
            if not items:
                dropped["fields_without_code"] += 1
                continue
            with _at(path, number):
                column = _column(one.admission or options.admission)
                admission = present(admission_value, column)
                if admission not in notes:
                    if other := forms.get(_number(admission)):
                        # Left out, these codes would silently be missing.
                        raise UserError(
                            f"{column}: there is no note of admission {admission[:SHOWN]}, but of {other[:SHOWN]}: a "
                            "program took one of them for a number; export both as text"
                        )
                    dropped["codes_without_note"] += len(items)
                    continue
                if notes.split_of(admission) == "background":
                    raise UserError(f"{_column(one.code)}: a background note has no codes")
                name = _system(system[0], one.system) if system else one.system
                for item in items:
                    yield admission, name, _code(item, name, one)


@contextmanager
def _at(path: Path, number: int) -> Iterator[None]:
    """Add file and row to the message of a `UserError`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: row {number}: {error}") from None


def _column(name: str) -> str:
    return f"column '{name}'"


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: Any, column: str) -> str:
    if _is_blank(value):
        raise UserError(f"{_column(column)}: the note has no text; remove the row")
    if not isinstance(value, str):
        raise UserError(f"{_column(column)}: expected text, found another type")
    return value


def _date(value: Any, column: str) -> datetime:
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    try:
        return datetime.fromisoformat(value.strip())
    except (ValueError, AttributeError):
        hint = f"write it as 2180-05-07 or 2180-05-07 13:45:00, or set {KEY}.date: {NONE}"
        raise UserError(f"{_column(column)}: {'there is no' if _is_blank(value) else 'not a'} date; {hint}") from None


def _split(value: Any, column: str) -> str:
    split = value.strip() if isinstance(value, str) else ""
    if split not in SPLITS:
        hint = nearest(split[:SHOWN], SPLITS)
        raise UserError(f"{_column(column)}: none of {', '.join(SPLITS)}; {hint}")
    return split


def _items(value: Any, separator: str) -> list[Any]:
    """Return the codes of a field: of text between separators, or of a list in Parquet; blank ones are left out."""
    items = value.split(separator) if isinstance(value, str) else value if isinstance(value, list) else [value]
    return [item for item in items if not _is_blank(item)]


def _system(value: Any, column: str) -> str:
    """Return the code system that a field names, whatever its case and punctuation: ICD-10-CM is icd10cm."""
    system = re.sub(r"[\W_]", "", identifier(value)).lower() if isinstance(value, str) else ""
    if system not in formatting.SYSTEMS:
        raise UserError(f"{_column(column)}: unknown code system; valid: {', '.join(formatting.SYSTEMS)}")
    return system


def _code(value: Any, system: str, column: CodeColumn) -> str:
    if not isinstance(value, str):
        raise UserError(f"{_column(column.code)}: a code must be text: a number loses its zeros")
    try:
        return formatting.normalized(value, system)
    except UserError:  # its message has the value, and a column of codes may turn out to be one of text
        example = formatting.EXAMPLES[system]
        hint = f"such as {example}; several in a field stand between '{column.separator}'"
        raise UserError(f"{_column(column.code)}: not a code of {system} ({hint})") from None


def _number(admission: str) -> str:
    """Return what a program leaves of an id that it takes for a number: 7 of 007 and of 7.0."""
    return whole_number(admission).lstrip("0")
