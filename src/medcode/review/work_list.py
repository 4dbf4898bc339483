"""The notes to review: their ids and places, while the texts stay in their files.

A note is read when it is opened: in a file *.jsonl from its place, in a text file as a whole, and in other tables from
the row that was read last, or from the beginning if the note comes before it.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from medcode.bulk.rows import Row, json_row
from medcode.bulk.sources import Position, Sources, ending_of
from medcode.errors import UserError
from medcode.inference.predict import UnreadableNote, check_text

KEPT_CHARACTERS = 2**24  # of texts that were read last


class Unread(NamedTuple):
    """A row that is no note to review: its place and why, without its text."""

    place: str
    reason: str


class WorkList:
    """Notes by their number, from 0, in the order of their files. Threads may share it.

    Args:
        sources: the files.

    Attributes:
        ids: of the notes.
        unread: rows that cannot be read.

    Raises:
        UserError: there is no note, an id comes twice, or a file is damaged.
    """

    def __init__(self, sources: Sources) -> None:
        self.ids: list[str] = []
        self.unread: list[Unread] = []
        self._sources, self._stamps = sources, [_stamp(path) for path in sources.paths]
        self._files, self._rows = array("L"), array("Q")
        self._lines: dict[int, array] = {}  # where the lines of a file *.jsonl begin
        self._numbers: dict[str, int] = {}
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._mutex = threading.Lock()
        self._cursor: tuple[Position, Iterator[tuple[Row, Position]]] = Position(), iter(())
        for row, behind in sources.rows(Position()):
            self._add(row, behind)
        if not self.ids:
            reason = f"; the first: {self.unread[0].place}: {self.unread[0].reason}" if self.unread else ""
            raise UserError(f"{sources.paths[0]}: holds no note that can be read{reason}")

    def _add(self, row: Row, behind: Position) -> None:
        if (reason := why_not(row)) is not None:
            self.unread.append(Unread(row.place, reason))
            return
        assert row.id is not None
        if row.id in self._numbers:
            hint = "" if self._sources.columns.id is None else " (--id-column)"
            raise UserError(f"{row.place}: the id {row.id[:80]} comes twice{hint}; decisions are kept by the id")
        self._numbers[row.id] = len(self.ids)
        self.ids.append(row.id)
        self._files.append(behind.file)
        # A line of JSON is found by its number among all lines, another row by its number among the rows.
        is_lines = ending_of(self._sources.paths[behind.file]) == ".jsonl"
        self._rows.append(int(row.place.rpartition(":")[2]) - 1 if is_lines else behind.row - 1)

    def __len__(self) -> int:
        return len(self.ids)

    def number_of(self, note: str) -> int | None:
        """Return the number of a note, None if it is not in the list."""
        return self._numbers.get(note)

    def text(self, number: int) -> str:
        """Return the text of a note.

        Raises:
            UserError: a file has changed since the list was made.
        """
        with self._mutex:
            if number not in self._texts:
                self._texts[number] = self._read(number)
                while len(self._texts) > 1 and sum(map(len, self._texts.values())) > KEPT_CHARACTERS:
                    self._texts.popitem(last=False)
            self._texts.move_to_end(number)
            return self._texts[number]

    def _read(self, number: int) -> str:
        position = Position(self._files[number], self._rows[number])
        path, row = self._sources.paths[position.file], None
        if _stamp(path) == self._stamps[position.file]:
            row = self._line(path, position) if ending_of(path) == ".jsonl" else self._row(position)
        if row is None or row.id != self.ids[number] or row.text is None:
            raise UserError(f"{path}: has changed since the review began; start it again")
        return row.text

    def _line(self, path: Path, position: Position) -> Row | None:
        if position.file not in self._lines:
            self._lines[position.file] = _beginnings(path)
        with open(path, "rb") as file:
            file.seek(self._lines[position.file][position.row])
            line = file.readline()
        line = line.removeprefix(b"\xef\xbb\xbf") if position.row == 0 else line
        return json_row(path, position.row + 1, line, self._sources.columns)

    def _row(self, position: Position) -> Row | None:
        at, rows = self._cursor
        if at.file != position.file or at.row > position.row or at == Position():
            rows = self._sources.rows(Position(position.file, 0))
        for row, behind in rows:
            self._cursor = behind, rows
            if behind.file != position.file or behind.row == position.row + 1:
                return row
        return None


def why_not(row: Row) -> str | None:
    """Return why a row is no note to review; None if it is one."""
    if row.reason is not None or row.id is None or row.text is None:
        return row.reason or "no id"
    if not row.id.isprintable() or row.id != row.id.strip():
        return "the id holds a control character, or begins or ends with a blank"
    try:
        check_text(row.text)
    except UnreadableNote as error:
        return str(error)
    return None


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_size, status.st_mtime_ns


def _beginnings(path: Path) -> array:
    """Return where each line of a file begins, in bytes."""
    places, place = array("Q"), 0
    with open(path, "rb") as file:
        for line in file:
            places.append(place)
            place += len(line)
    return places
