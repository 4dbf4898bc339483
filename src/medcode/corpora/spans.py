"""The third standard table of a corpus: spans, the places in a note that justify its codes."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from medcode.corpora.notes import Notes
from medcode.errors import UserError

SPANS = pa.schema(
    [
        ("admission_id", pa.string()),
        ("system", pa.string()),
        ("code", pa.string()),
        ("span", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
    ]
)
Part = tuple[int, int]  # start and end in characters, the end excluded

_CODE = ["admission_id", "system", "code"]
_OFFSETS = re.compile(r"[0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*")


class Spans:
    """Collection of spans.

    Args:
        notes: the notes that the spans lie in. Those of an admission are added before its spans.

    Attributes:
        compared: number of spans that came with the text of their mention.
        different: number of these whose mention is not the text at their place, blanks and line breaks aside.
        empty_parts: number of parts without a character, which were dropped.
    """

    def __init__(self, notes: Notes) -> None:
        self.compared = self.different = self.empty_parts = 0
        self._notes = notes
        self._rows: list[tuple[str, str, str, int, int, int]] = []
        self._numbers: dict[str, int] = {}  # spans so far, by admission
        self._last: tuple[str | None, list[str]] = (None, [])  # the admission read last, and its notes

    def add(
        self,
        admission: str,
        system: str,
        code: str,
        parts: Iterable[Part],
        mention: str | None = None,
        note: int = 0,
    ) -> None:
        """Add a span, which justifies one code of an admission.

        Args:
            code: dotted.
            parts: several for a discontinuous span, in the order of the mention. One without a character is dropped if
                others remain.
            mention: the text of the parts, joined by blanks; it is compared with the note.
            note: which note of the admission the offsets refer to, 0 for the first. Notes of an admission are joined
                in the table of notes, and the offsets are moved accordingly.

        Raises:
            UserError: a part lies outside the note, or nothing of the span remains. The caller adds file and line.
        """
        texts = self._texts(admission)
        if note >= len(texts):
            raise UserError(f"there is no note {note} of admission {admission[:40]}, which has {len(texts)}")
        parts, text = list(parts), texts[note]
        for start, end in parts:
            if not 0 <= start <= end <= len(text):
                raise UserError(f"the span {start} to {end} is not within the note, which has {len(text)} characters")
        filled_parts = [(start, end) for start, end in parts if start < end]
        if not filled_parts:
            raise UserError(f"the span {' and '.join(f'{start} to {end}' for start, end in parts)} is empty")
        self.empty_parts += len(parts) - len(filled_parts)
        if mention is not None:
            found = " ".join(text[start:end] for start, end in filled_parts)
            self.compared += 1
            self.different += found.split() != mention.split()
        number = self._numbers.get(admission, 0)
        self._numbers[admission] = number + 1
        offset = sum(len(earlier) + 1 for earlier in texts[:note])
        self._rows += [(admission, system, code, number, offset + start, offset + end) for start, end in filled_parts]

    def _texts(self, admission: str) -> list[str]:
        if self._last[0] != admission:
            self._last = (admission, self._notes.texts(admission))
        return self._last[1]

    def table(self, codes: pa.Table) -> tuple[pa.Table, int]:
        """Build the table, and count the spans left out because the admission does not have their code.

        Args:
            codes: admission_id, system, code.

        Returns:
            admission_id, system, code, span (number of the span within its admission; its parts share it), start, end
            (characters of the text in the table of notes, the end excluded), in reading order; and the count.
        """
        frame = pd.DataFrame(self._rows, columns=SPANS.names)
        assigned = pd.MultiIndex.from_frame(codes.to_pandas()[_CODE])
        is_assigned = pd.MultiIndex.from_frame(frame[_CODE]).isin(assigned)
        left_out = frame.loc[~is_assigned, ["admission_id", "span"]].drop_duplicates()
        table = pa.Table.from_pandas(frame[is_assigned], schema=SPANS, preserve_index=False)
        return table.replace_schema_metadata(None), len(left_out)


def counts(spans: pa.Table, codes: pa.Table) -> dict[str, dict[str, int]]:
    """Count, per system, the spans, their parts, the admissions with one, and the assigned codes without one.

    Args:
        spans: the result of `Spans.table`.
        codes: admission_id, system, code; unique rows.
    """
    frame, assigned = spans.to_pandas(), codes["system"].to_pandas().value_counts()
    return {
        system: {
            "spans": len(rows[["admission_id", "span"]].drop_duplicates()),
            "parts": len(rows),
            "admissions": int(rows["admission_id"].nunique()),
            "codes_without_span": int(assigned[system]) - len(rows[_CODE].drop_duplicates()),
        }
        for system, rows in frame.groupby("system", sort=True)
    }


def offsets(text: str) -> list[Part]:
    """Parse offsets as brat and CodiEsp write them: "12 30", or "12 30;41 47" for a discontinuous span.

    Raises:
        UserError: they have another form.
    """
    if not _OFFSETS.fullmatch(text):
        raise UserError("expected offsets such as 12 30 or 12 30;41 47")
    return [(int(start), int(end)) for start, end in (part.split(" ") for part in text.split(";"))]
