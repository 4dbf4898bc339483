"""The two standard tables of every corpus: notes and assigned codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO

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
        notes: rows of admission_id (unique), patient_id, text, split (null if the corpus has no published split).
        codes: admission_id, system, code (dotted); unique rows; only admissions in `notes`.
        counts: numbers of rows read, kept and dropped, by reason. It holds only numbers and names of categories and
            systems.
    """

    notes: Notes
    codes: pa.Table
    counts: dict[str, Any]


class Notes:
    """Collection of notes; those of one admission are joined in reading order.

    The texts are buffered in a file, so that a corpus of many gigabytes need not fit into memory.

    Args:
        source: origin of the notes, for messages.
        spool: an open, empty file; None keeps the texts in memory.
    """

    def __init__(self, source: str, spool: BinaryIO | None = None) -> None:
        self.source = source
        self.added = 0
        self._spool = BytesIO() if spool is None else spool
        self._end = 0
        self._patients: dict[str, str] = {}
        self._splits: dict[str, str | None] = {}
        self._places: dict[str, list[int]] = {}  # start and end of each text in the file

    def add(self, admission: str, patient: str, text: str, split: str | None = None) -> None:
        """Add one note.

        Raises:
            UserError: the admission already belongs to another patient.
        """
        first_patient = self._patients.setdefault(admission, patient)
        if first_patient != patient:
            raise UserError(
                f"{self.source}: admission {admission} belongs to two patients, {first_patient} and {patient}"
            )
        self._splits[admission] = split
        start = self._end
        self._end += self._spool.write(text.encode())
        self._places.setdefault(admission, []).extend((start, self._end))
        self.added += 1

    def __contains__(self, admission: str) -> bool:
        return admission in self._places

    def __len__(self) -> int:
        return len(self._places)

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
        """Build the whole table in memory."""
        return pa.Table.from_batches(self.batches(), schema=NOTES)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Build the table a thousand admissions at a time, one newline between the notes of one admission."""
        admissions = self.admissions
        for start in range(0, len(admissions), _BATCH):
            batch = admissions[start : start + _BATCH]
            columns = [
                batch,
                [self._patients[admission] for admission in batch],
                [self._text(admission) for admission in batch],
                [self._splits[admission] for admission in batch],
            ]
            yield pa.record_batch(
                [pa.array(values, type=column_type) for values, column_type in zip(columns, NOTES.types, strict=True)],
                schema=NOTES,
            )

    def _text(self, admission: str) -> str:
        texts, places = [], self._places[admission]
        for start, end in zip(places[::2], places[1::2], strict=True):
            self._spool.seek(start)
            texts.append(self._spool.read(end - start))
        return b"\n".join(texts).decode()


@dataclass
class Codes:
    """Collection of the codes assigned to admissions that have a note."""

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
        """Add rows of a table that stores codes without a point.

        Raises:
            UserError: a code has a point. A program then parsed the codes as numbers, and zeros are lost.
        """
        admissions, codes = identifiers(admissions), codes.str.strip()
        self.rows[system] = self.rows.get(system, 0) + len(codes)
        is_nonempty = codes != ""
        self.empty += int((~is_nonempty).sum())
        # The index is hashed once; isin would hash all admissions again for each chunk.
        has_note = pd.Series(self.admissions.get_indexer(admissions) >= 0, index=admissions.index)
        self.without_note += int((is_nonempty & ~has_note).sum())
        is_valid_row = is_nonempty & has_note
        admissions, codes = admissions[is_valid_row], codes[is_valid_row]
        if codes.str.contains(".", regex=False).any():
            raise UserError(
                f"{source}: a code holds a point; the original table has none, and zeros were lost if a program took "
                "codes for numbers"
            )
        dotted_codes = {code: formatting.dotted(code, system) for code in codes.unique()}
        unusual_codes = [code for code, dotted in dotted_codes.items() if not formatting.is_valid(dotted, system)]
        self.unusual += int(codes.isin(unusual_codes).sum())
        self._frames.append(
            pd.DataFrame({"admission_id": admissions, "system": system, "code": codes.map(dotted_codes)})
        )

    def revise(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Transform the codes added so far: admission_id, system, code (dotted), in reading order."""
        self._frames = [change(self._frame())]

    def _frame(self) -> pd.DataFrame:
        empty = pd.DataFrame({name: pd.Series(dtype="str") for name in CODES.names})
        return pd.concat([empty, *self._frames], ignore_index=True)

    def table(self) -> tuple[pa.Table, dict[str, dict[str, int]]]:
        """Build the table without duplicates, and count the assigned and distinct codes per system."""
        frame = self._frame()
        unique = frame.drop_duplicates()
        self.duplicates = len(frame) - len(unique)
        counts = unique.groupby("system", sort=True)["code"].agg(["size", "nunique"])
        table = pa.Table.from_pandas(unique, schema=CODES, preserve_index=False).replace_schema_metadata(None)
        return table, {
            system: {"assigned": int(row["size"]), "distinct": int(row["nunique"])} for system, row in counts.iterrows()
        }

    def dropped(self) -> dict[str, int]:
        """Return the numbers of dropped rows by reason; duplicates are counted by `table`."""
        return {
            "codes_empty": self.empty,
            "codes_of_admissions_without_note": self.without_note,
            "codes_duplicate": self.duplicates,
        }


def identifiers(column: pd.Series) -> pd.Series:
    """Clean a column of ids: remove blanks, and the ".0" left by programs that parse ids as numbers."""
    return column.str.strip().str.replace(r"\.0$", "", regex=True)


def extraction(
    notes: Notes, codes: Codes, note_rows: int, dropped: dict[str, int] | None = None, **counts: Any
) -> Extraction:
    """Combine the two tables, and count their rows.

    Args:
        note_rows: number of rows in the table of notes, before any was dropped.
        dropped: numbers of notes or codes dropped by the reader, by reason.
        counts: further counts of the reader.

    Raises:
        UserError: there are no notes, or no codes.
    """
    if not len(notes):
        raise UserError(f"{notes.source}: the corpus is empty: no discharge summary of an admission was found")
    assigned, code_counts = codes.table()
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
            "codes": code_counts,
            "codes_of_unusual_form": codes.unusual,
            "dropped": {**(dropped or {}), **codes.dropped()},
        },
        codes=assigned,
        notes=notes,
    )
