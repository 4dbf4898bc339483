"""A ledger as a corpus to train on: the notes that are done, with the codes that were accepted or added."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from medcode import io
from medcode.bulk.rows import Row
from medcode.bulk.sources import Position, Sources
from medcode.errors import UserError
from medcode.review.decisions import State
from medcode.review.ledger import text_digest
from medcode.review.work_list import why_not


def export(state: State, sources: Sources, output: Path, patient_column: str | None = None) -> int:
    """Write the notes that are done as a corpus `jsonl`, all or nothing.

    Args:
        state: of a ledger.
        sources: the notes.
        output: the file.
        patient_column: column of the patient's id, without which each note is a patient of its own.

    Returns:
        Number of notes.

    Raises:
        UserError: a note that is done is missing, comes twice, has no patient, or another text than the one that was
            decided on; a file cannot be read or written.
    """
    waiting = {note for note, of_note in state.notes.items() if of_note.done}
    number = len(waiting)
    if not number:
        raise UserError("the ledger has no note that is done; in the page the key d marks one")
    with io.atomic_write(output, "w") as file:
        for row, patient in _with_patients(sources, patient_column):
            if row.id is None or not state.of(row.id).done:
                continue
            if (reason := why_not(row)) is not None or row.text is None:
                raise UserError(f"{row.place}: cannot be read any more: {reason}")
            if row.id not in waiting:
                raise UserError(f"{row.place}: the id {row.id[:80]} comes twice")
            if state.of(row.id).text not in (None, text_digest(row.text)):
                raise UserError(f"{row.place}: note {row.id[:80]} has another text than the one that was decided on")
            if patient is None:
                raise UserError(f"{row.place}: has no patient in the column '{patient_column}' (--patient-column)")
            waiting.remove(row.id)
            file.write(_line(row.id, patient, row.text, state.of(row.id).codes) + "\n")
        if waiting:
            raise UserError(
                f"{len(waiting):,} notes of the ledger are not among NOTES, the first: {min(waiting)[:80]}; name the "
                "same files, columns and folder as for the review"
            )
    return number


def _with_patients(sources: Sources, patient_column: str | None) -> Iterator[tuple[Row, str | None]]:
    rows = (row for row, _ in sources.rows(Position()))
    if patient_column is None:
        yield from ((row, row.id) for row in rows)
        return
    # The same rows once more, with the patient's id in place of the note's: it is checked in the same way.
    named = Sources(sources.names, sources.columns._replace(id=patient_column))
    for row, (patient, _) in zip(rows, named.rows(Position()), strict=True):
        yield row, patient.id


def _line(note: str, patient: str, text: str, codes: list[tuple[str, str]]) -> str:
    listed = [{"system": system, "code": code} for system, code in codes]
    return json.dumps({"admission_id": note, "patient_id": patient, "text": text, "codes": listed}, ensure_ascii=False)
