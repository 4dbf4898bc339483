"""The standard tables of every corpus: notes, assigned codes, and spans that justify the codes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from medcode.codes import formatting
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.corpora.spans import counts as span_counts
from medcode.errors import UserError

CODES = pa.schema([("admission_id", pa.string()), ("system", pa.string()), ("code", pa.string())])


@dataclass(frozen=True)
class Extraction:
    """A corpus in standard form.

    Attributes:
        notes: rows of admission_id (unique), patient_id, text, split (null if the corpus has no published split).
        codes: admission_id, system, code (dotted); unique rows; only admissions in `notes`.
        spans: admission_id, system, code, span, start, end, as `Spans.table` returns them; possibly without a row.
        counts: numbers of rows read, kept and dropped, by reason. It holds only numbers and names of categories and
            systems.
        remarks: what the user should know about this corpus with these options, a line each.
    """

    notes: Notes
    codes: pa.Table
    spans: pa.Table
    counts: dict[str, Any]
    remarks: tuple[str, ...] = ()


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

        Args:
            admissions: as in the notes.

        Raises:
            UserError: a code has a point. A program then parsed the codes as numbers, and zeros are lost.
        """
        codes = codes.str.strip()
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


def collected(notes: Notes, assigned: Iterable[tuple[str, str, str]], systems: Collection[str]) -> tuple[Codes, int]:
    """Collect codes that a reader has read one by one.

    Args:
        assigned: admission, system and code of each, dotted.
        systems: those to keep.

    Returns:
        The codes of these systems, and the number of the others.
    """
    codes = Codes(notes.admissions)
    by_system: dict[str, tuple[list[str], list[str]]] = {system: ([], []) for system in formatting.SYSTEMS}
    for admission, system, code in assigned:
        by_system[system][0].append(admission)
        by_system[system][1].append(formatting.undotted(code))
    n_others = 0
    for system, (admissions, values) in by_system.items():
        if system in systems:
            codes.add(system, pd.Series(admissions, dtype="str"), pd.Series(values, dtype="str"), notes.source)
        else:
            n_others += len(values)
    return codes, n_others


def extraction(
    notes: Notes,
    codes: Codes,
    note_rows: int,
    dropped: dict[str, int] | None = None,
    spans: Spans | None = None,
    remarks: tuple[str, ...] = (),
    **counts: Any,
) -> Extraction:
    """Combine the tables, and count their rows.

    Args:
        note_rows: number of rows in the table of notes, before any was dropped.
        dropped: numbers of notes or codes dropped by the reader, by reason.
        spans: None if the corpus has none.
        remarks: as in `Extraction`.
        counts: further counts of the reader.

    Raises:
        UserError: there are no notes, or no codes.
    """
    if not len(notes):
        raise UserError(f"{notes.source}: the corpus is empty: no discharge summary of an admission was found")
    assigned, code_counts = codes.table()
    if assigned.num_rows == 0:
        raise UserError(f"{notes.source}: no admission with a note has a code of the chosen systems (corpora: systems)")
    spans = spans or Spans(notes)
    span_table, n_other_spans = spans.table(assigned)
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
            "spans": span_counts(span_table, assigned),
            "span_mentions": {"compared": spans.compared, "different": spans.different},
            "dropped": {
                **(dropped or {}),
                **codes.dropped(),
                "spans_of_other_codes": n_other_spans,
                "span_parts_empty": spans.empty_parts,
            },
        },
        codes=assigned,
        notes=notes,
        remarks=remarks,
        spans=span_table,
    )
