"""The first standard table of every corpus: notes, one row per admission."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import BinaryIO

import pyarrow as pa

from medcode.errors import UserError

NOTES = pa.schema(
    [
        ("admission_id", pa.string()),
        ("patient_id", pa.string()),
        ("text", pa.large_string()),
        ("split", pa.string()),
    ]
)

SPLITS = ("train", "dev", "test", "background")

_BATCH = 1000


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

    def add(self, admission: str, patient: str, text: str, split: str | None = None) -> int:
        """Add one note, and return its number within the admission, 0 for the first.

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
        self._spool.seek(start)  # `texts` may have moved it
        self._end += self._spool.write(text.encode())
        places = self._places.setdefault(admission, [])
        places.extend((start, self._end))
        self.added += 1
        return len(places) // 2 - 1

    def sort(self, dates: Mapping[str, Sequence[datetime]]) -> None:
        """Order the notes of each admission by date; those of one date stay in reading order.

        Args:
            dates: {admission: dates of its notes, in reading order}.
        """
        for admission, places in self._places.items():
            order = sorted(range(len(places) // 2), key=dates[admission].__getitem__)
            self._places[admission] = [place for note in order for place in places[2 * note : 2 * note + 2]]

    def __contains__(self, admission: str) -> bool:
        return admission in self._places

    def __len__(self) -> int:
        return len(self._places)

    def split_of(self, admission: str) -> str | None:
        """Return the split of an admission; None if the corpus has none."""
        return self._splits[admission]

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
                ["\n".join(self.texts(admission)) for admission in batch],
                [self._splits[admission] for admission in batch],
            ]
            yield pa.record_batch(
                [pa.array(values, type=column_type) for values, column_type in zip(columns, NOTES.types, strict=True)],
                schema=NOTES,
            )

    def texts(self, admission: str) -> list[str]:
        """Read the notes of an admission back, in reading order."""
        texts, places = [], self._places[admission]
        for start, end in zip(places[::2], places[1::2], strict=True):
            self._spool.seek(start)
            texts.append(self._spool.read(end - start).decode())
        return texts
