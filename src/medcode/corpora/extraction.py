"""The two standard tables that every corpus is read into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from medcode.codes import formatting
from medcode.errors import UserError

NOTES = pa.schema(
    [
        ("admission_id", pa.string()),
        ("patient_id", pa.string()),
        ("text", pa.large_string()),
        ("split", pa.string()),
    ]
)
CODES = pa.schema([("admission_id", pa.string()), ("system", pa.string()), ("code", pa.string())])

SPLITS = ("train", "dev", "test", "background")

_BATCH = 1000


@dataclass(frozen=True)
class Extraction:
    """A corpus in standard form.

    Attributes:
        notes: admission_id (unique), patient_id, text, split (null where the corpus has no split of its own).
        codes: admission_id, system, code (dotted); unique rows; only admissions that are in `notes`.
        counts: what was read, kept and dropped, and why; numbers and names of categories and systems only.
    """

    notes: pa.Table
    codes: pa.Table
    counts: dict[str, Any]


@dataclass
class Notes:
    """Gathers notes and joins those of one admission in the order in which they come."""

    source: str
    _patients: dict[str, str] = field(default_factory=dict)
    _splits: dict[str, str | None] = field(default_factory=dict)
    _texts: dict[str, list[str]] = field(default_factory=dict)
    added: int = 0

    def add(self, admission: str, patient: str, text: str, split: str | None = None) -> None:
        """Adds one note.

        Raises:
            UserError: the admission already belongs to another patient.
        """
        owner = self._patients.setdefault(admission, patient)
        if owner != patient:
            raise UserError(f"{self.source}: admission {admission} belongs to two patients, {owner} and {patient}")
        self._splits[admission] = split
        self._texts.setdefault(admission, []).append(text)
        self.added += 1

    def __contains__(self, admission: str) -> bool:
        return admission in self._texts

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def admissions(self) -> list[str]:
        """The admissions, in the order of their first note."""
        return list(self._patients)

    @property
    def patients(self) -> int:
        """Number of distinct patients."""
        return len(set(self._patients.values()))

    @property
    def background(self) -> int:
        """Number of background notes, which have no codes."""
        return sum(split == "background" for split in self._splits.values())

    def table(self) -> pa.Table:
        """Builds the table, one newline between the notes of one admission.

        The texts are given up on the way, so that they are not in memory twice; call this once.
        """
        return pa.Table.from_batches(self._batches(), schema=NOTES)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        admissions = self.admissions
        for start in range(0, len(admissions), _BATCH):
            batch = admissions[start : start + _BATCH]
            columns = [
                batch,
                [self._patients[admission] for admission in batch],
                ["\n".join(self._texts.pop(admission)) for admission in batch],
                [self._splits[admission] for admission in batch],
            ]
            yield pa.record_batch(
                [pa.array(values, type=kind) for values, kind in zip(columns, NOTES.types, strict=True)], schema=NOTES
            )


@dataclass
class Codes:
    """Gathers assigned codes of the admissions that have a note."""

    admissions: Iterable[str]
    _frames: list[pd.DataFrame] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    empty: int = 0
    without_note: int = 0
    duplicates: int = 0
    unusual: int = 0

    def __post_init__(self) -> None:
        self.admissions = pd.Index(list(self.admissions), dtype="str")

    def add(self, system: str, admissions: pd.Series, codes: pd.Series, source: str) -> None:
        """Adds rows of a table that stores codes without a point.

        Raises:
            UserError: a code has a point: some program took the codes for numbers, and their zeros are lost.
        """
        admissions, codes = identifiers(admissions), codes.str.strip()
        self.rows[system] = self.rows.get(system, 0) + len(codes)
        given = codes != ""
        self.empty += int((~given).sum())
        known = admissions.isin(self.admissions)
        self.without_note += int((given & ~known).sum())
        kept = given & known
        admissions, codes = admissions[kept], codes[kept]
        if codes.str.contains(".", regex=False).any():
            raise UserError(
                f"{source}: a code holds a point; the original table has none, and zeros were lost if a program took "
                "codes for numbers"
            )
        spelling = {code: formatting.dotted(code, system) for code in codes.unique()}
        odd = [code for code, written in spelling.items() if not formatting.is_valid(written, system)]
        self.unusual += int(codes.isin(odd).sum())
        self._frames.append(pd.DataFrame({"admission_id": admissions, "system": system, "code": codes.map(spelling)}))

    def table(self) -> tuple[pa.Table, dict[str, dict[str, int]]]:
        """Builds the table, without duplicates, and counts the assigned and the distinct codes per system."""
        empty = pd.DataFrame({name: pd.Series(dtype="str") for name in CODES.names})
        frame = pd.concat([empty, *self._frames], ignore_index=True)
        unique = frame.drop_duplicates()
        self.duplicates = len(frame) - len(unique)
        numbers = unique.groupby("system", sort=True)["code"].agg(["size", "nunique"])
        table = pa.Table.from_pandas(unique, schema=CODES, preserve_index=False).replace_schema_metadata(None)
        return table, {
            system: {"assigned": int(row["size"]), "distinct": int(row["nunique"])}
            for system, row in numbers.iterrows()
        }

    def dropped(self) -> dict[str, int]:
        """Numbers of rows dropped, by reason; complete once `table` was called."""
        return {
            "codes_empty": self.empty,
            "codes_of_admissions_without_note": self.without_note,
            "codes_duplicate": self.duplicates,
        }


def identifiers(column: pd.Series) -> pd.Series:
    """Cleans a column of ids: blanks, and the ".0" that a program leaves that took them for numbers, are removed."""
    return column.str.strip().str.replace(r"\.0$", "", regex=True)


def extraction(
    notes: Notes, codes: Codes, note_rows: int, dropped: dict[str, int] | None = None, **counts: Any
) -> Extraction:
    """Puts the two tables together and counts what they hold; `notes` gives up its texts.

    Args:
        note_rows: rows of the notes' table, before any was dropped.
        dropped: numbers of notes or codes that the reader itself dropped, by reason.
        counts: what else the reader counted.

    Raises:
        UserError: there are no notes, or no codes.
    """
    if not len(notes):
        raise UserError(f"{notes.source}: the corpus is empty: no discharge summary of an admission was found")
    assigned, numbers = codes.table()
    if assigned.num_rows == 0:
        raise UserError(f"{notes.source}: no admission with a note has a code of the chosen systems (corpora: systems)")
    coded, background = len(assigned["admission_id"].unique()), notes.background
    return Extraction(
        counts={
            "rows": {"notes": note_rows, **codes.rows},
            **counts,
            "notes": notes.added,
            "admissions": len(notes),
            "patients": notes.patients,
            "background_notes": background,
            "admissions_with_notes_without_codes": len(notes) - background - coded,
            "codes": numbers,
            "codes_of_unusual_form": codes.unusual,
            "dropped": {**(dropped or {}), **codes.dropped()},
        },
        codes=assigned,
        notes=notes.table(),
    )
