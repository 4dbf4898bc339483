"""Which files the notes are in, and the stream of their rows."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from medcode.bulk.rows import FORMATS, Columns, Format, Row
from medcode.errors import UserError

TEXT = (".txt", ".txt.gz")


class Position(NamedTuple):
    """A place in the stream of rows: the number of a slice, and how many of its rows come before."""

    file: int = 0
    row: int = 0


def ending_of(path: Path) -> str | None:
    """Return the ending that says how a file is read; None if it has none of `FORMATS`."""
    name = path.name.lower()
    return next((ending for ending in FORMATS if name.endswith(ending)), None)


def is_many(names: Sequence[str]) -> bool:
    """Whether these files and folders may hold more than one note."""
    paths = [Path(name) for name in names]
    return len(paths) > 1 or any(path.is_dir() or not _is_one_note(path) for path in paths)


class Slice(NamedTuple):
    """Rows of a file: all of them, or some that follow each other.

    Attributes:
        path: of the file.
        start: where they begin, as `Format.slices` says.
        before: rows of the file that come before.
        rows: how many they are; None for all that follow.
    """

    path: Path
    start: int = 0
    before: int = 0
    rows: int | None = None


class Slices:
    """Rows of one slice after another.

    Args:
        slices: where the rows are.
        columns: of tables.

    Attributes:
        slices, columns: as given.
    """

    def __init__(self, slices: Sequence[Slice], columns: Columns) -> None:
        self.slices, self.columns = slices, columns

    def fingerprint(self) -> str:
        """Return a digest of the files' places, sizes and times of change, and of the slices.

        Raises:
            UserError: a file is missing.
        """
        digest = hashlib.sha256()
        for path, *rows in self.slices:
            try:
                status = path.stat()
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})") from error
            digest.update(repr((str(path.absolute()), status.st_size, status.st_mtime_ns, rows)).encode())
        return digest.hexdigest()

    def rows(self, start: Position) -> Iterator[tuple[Row, Position]]:
        """Yield each row behind a position, with the position behind it.

        Raises:
            UserError: a file is missing or damaged.
        """
        for number in range(start.file, len(self.slices)):
            of_slice, skipped = self.slices[number], start.row if number == start.file else 0
            rows = format_of(of_slice.path).rows(of_slice.path, self.columns, of_slice.start, of_slice.before)
            for count, row in enumerate(itertools.islice(rows, skipped, of_slice.rows), start=skipped + 1):
                yield row, Position(number, count)

    def count(self) -> int | None:
        """Return the number of notes, if that is known without reading tables."""
        if all(_is_one_note(of_slice.path) for of_slice in self.slices):
            return len(self.slices)
        counts = [of_slice.rows for of_slice in self.slices]
        return None if None in counts else sum(count or 0 for count in counts)


class Sources(Slices):
    """Files of notes: those given, and those in the folders given, in the order of their names.

    Args:
        names: files and folders. A file that is given may have any ending; without one of `FORMATS` it is one note. In
            a folder and its subfolders files with one of these endings are read.
        columns: of tables.

    Attributes:
        names: as given.
        paths: the files.

    Raises:
        UserError: a file or folder is missing; a folder holds no notes; a table lacks a column.
    """

    def __init__(self, names: Sequence[str], columns: Columns) -> None:
        self.names = names
        self.paths = [path for name in names for path in _files(Path(name))]
        super().__init__([Slice(path) for path in self.paths], columns)
        for path in self.paths:
            format_of(path).check(path, columns)

    def check_output(self, output: Path, option: str = "--output") -> None:
        """Refuse an output that would replace notes, or be read as notes the next time.

        Args:
            output: the file, or the folder.
            option: that names it.

        Raises:
            UserError: it is one of the files, or in one of the folders; one of the files is in it.
        """
        place = output.resolve()
        for given in (Path(name).resolve() for name in self.names):
            if place == given or given in place.parents or place in given.parents:
                raise UserError(f"{option}: {output} is among the notes; write it elsewhere")

    def parts(self, notes: int) -> list[list[Slice]]:
        """Divide the rows into parts of about so many notes, in their order.

        A table that is compressed, and one of CSV, is not divided: where a row begins is not known without reading all
        rows before it.

        Raises:
            UserError: a file is missing or damaged.
        """
        parts: list[list[Slice]] = []
        for path in self.paths:
            if not _is_one_note(path):
                parts += [[Slice(path, *found)] for found in format_of(path).slices(path, notes)]
            elif parts and len(parts[-1]) < notes and _is_one_note(parts[-1][0].path):
                parts[-1].append(Slice(path))
            else:
                parts.append([Slice(path)])
        return parts


def format_of(path: Path) -> Format:
    """Return how a file is read."""
    return FORMATS[ending_of(path) or ".txt"]


def _is_one_note(path: Path) -> bool:
    return ending_of(path) in (None, *TEXT)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    notes = [file for file in files if ending_of(file) is not None]
    if not notes:
        raise UserError(f"{path}: holds no notes, which are files that end in {', '.join(FORMATS)}")
    if len(notes) < len(files):
        print(f"note: {path}: {len(files) - len(notes):,} files with other endings are left out", file=sys.stderr)
    return notes


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
