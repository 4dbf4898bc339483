"""Which files the notes are in, and the stream of their rows."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from medcode.bulk.rows import FORMATS, Columns, Row
from medcode.errors import UserError

TEXT = (".txt", ".txt.gz")


class Position(NamedTuple):
    """A place in the stream of rows: the number of a file, and how many of its rows come before."""

    file: int = 0
    row: int = 0


def ending_of(path: Path) -> str | None:
    """Return the ending that says how a file is read; None if it has none of `FORMATS`."""
    name = path.name.lower()
    return next((ending for ending in FORMATS if name.endswith(ending)), None)


def is_many(names: Sequence[str]) -> bool:
    """Whether these files and folders may hold more than one note."""
    paths = [Path(name) for name in names]
    return len(paths) > 1 or any(path.is_dir() or ending_of(path) not in (None, *TEXT) for path in paths)


class Sources:
    """Files of notes: those given, and those in the folders given, in the order of their names.

    Args:
        names: files and folders. A file that is given may have any ending; without one of `FORMATS` it is one note. In
            a folder and its subfolders files with one of these endings are read.
        columns: of tables.

    Attributes:
        names: as given.
        columns: likewise.
        paths: the files.

    Raises:
        UserError: a file or folder is missing; a folder holds no notes; a table lacks a column.
    """

    def __init__(self, names: Sequence[str], columns: Columns) -> None:
        self.columns, self.names = columns, names
        self.paths = [path for name in names for path in _files(Path(name))]
        for path in self.paths:
            FORMATS[ending_of(path) or ".txt"].check(path, columns)

    def fingerprint(self) -> str:
        """Return a digest of the files' places, sizes and times of change.

        Raises:
            UserError: a file is missing.
        """
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                status = path.stat()
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})") from error
            digest.update(repr((str(path.absolute()), status.st_size, status.st_mtime_ns)).encode())
        return digest.hexdigest()

    def rows(self, start: Position) -> Iterator[tuple[Row, Position]]:
        """Yield each row behind a position, with the position behind it.

        Raises:
            UserError: a file is missing or damaged.
        """
        for number in range(start.file, len(self.paths)):
            path, skipped = self.paths[number], start.row if number == start.file else 0
            rows = FORMATS[ending_of(path) or ".txt"].rows(path, self.columns)
            for count, row in enumerate(itertools.islice(rows, skipped, None), start=skipped + 1):
                yield row, Position(number, count)

    def check_output(self, output: Path, option: str = "--output") -> None:
        """Refuse an output that would replace notes, or be read as notes the next time.

        Args:
            output: the file.
            option: that names it.

        Raises:
            UserError: it is one of the files, or in one of the folders.
        """
        place = output.resolve()
        for given in (Path(name).resolve() for name in self.names):
            if place == given or given in place.parents:
                raise UserError(f"{option}: {output} is among the notes; write it elsewhere")

    def count(self) -> int | None:
        """Return the number of notes, if that is known without reading tables."""
        return len(self.paths) if all(ending_of(path) in (None, *TEXT) for path in self.paths) else None


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
