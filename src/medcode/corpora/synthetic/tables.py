"""Gzipped CSV tables, written row by row in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.corpora.synthetic.layout import Text

_BUFFER = 1 << 18


class Table:
    """Buffered rows of a gzip file; its header has no name and no time, so that its bytes depend on the rows alone."""

    def __init__(self, file: IO[bytes], header: str) -> None:
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0)
        self._lines, self._size = [header], 0
        self.rows = 0

    def write(self, line: str) -> None:
        """Add a row, given without line ending."""
        self._lines.append(line)
        self._size += len(line)
        self.rows += 1
        if self._size > _BUFFER:
            self._flush()

    def _flush(self) -> None:
        self._gzip.write(("\n".join(self._lines) + "\n").encode())
        self._lines, self._size = [], 0

    def close(self) -> None:
        """Write the remaining rows, and close the file."""
        if self._lines:
            self._flush()
        self._gzip.close()


@contextlib.contextmanager
def open_tables(folder: Path, headers: dict[str, str]) -> Iterator[dict[str, Table]]:
    """Open a table for each name (a path below the folder, without .csv.gz); close all at the end of the block."""
    with contextlib.ExitStack() as stack:
        tables = {}
        for name, header in headers.items():
            path = folder / f"{name}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "wb"))
            tables[name] = stack.enter_context(contextlib.closing(Table(file, header)))
        yield tables


def write_spans(
    table: Table, hadm_id: int, texts: Iterable[Text], codes: Mapping[str, Iterable[tuple[str, str]]]
) -> None:
    """Write the spans of the discharge summaries of an admission, a row for each code that the evidence is for.

    Args:
        texts: the summaries in the order of their table.
        codes: (system, code as in the tables) that stand for each code of the spans; none for one that was not
            assigned.
    """
    for number, text in enumerate(texts):
        for span in text.spans:
            for system, code in codes.get(span.code, ()):
                table.write(row((hadm_id, number, system, code, span.start, span.end)))


def quoted(text: str) -> str:
    """Put a field in double quotes, doubling those inside."""
    return '"' + text.replace('"', '""') + '"'


def minimal(text: str) -> str:
    """Quote a field only if necessary."""
    return quoted(text) if any(sign in text for sign in ',"\n') else text


def row(fields: Iterable[object]) -> str:
    """Join fields, which are already quoted; None is an empty field."""
    return ",".join("" if field is None else str(field) for field in fields)


def stamp(time: datetime | None) -> str:
    """Format a time, with zero seconds; "" for None."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}:00"


def scattered(number: int, first: int, span: int, step: int) -> int:
    """Map 0, 1, 2, ... to distinct identifiers from `first` on, in scattered order.

    Args:
        span: number of scattered identifiers, a prime; further ones follow in order.
        step: a number that is not divisible by `span`.
    """
    return first + (number * step % span if number < span else number)
