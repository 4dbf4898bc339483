"""Rows of tables of notes, one at a time: *.jsonl, *.csv, *.parquet, and text files of one note each.

A row that cannot be read has a reason instead of a text. A file that is no such table at all is a `UserError`. Neither
ever has the text of a note.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from medcode.errors import UserError
from medcode.identifiers import identifier
from medcode.table_files import (
    NOT_UTF8,
    check_encoding,
    check_names,
    csv_fields,
    csv_header,
    lines,
    opened,
    parquet_groups,
    parquet_schema,
    parquet_values,
    readable,
)

PROBED = 100  # lines of a .jsonl file
NO_TEXT = "no text"


class Columns(NamedTuple):
    """Names of the columns of the text, and of the id; without the latter a note is named by its file and row."""

    text: str = "text"
    id: str | None = None


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        place: its file and its number there, from 1.
        id: the note's name; None if it has none.
        text: of the note; None if it cannot be read.
        reason: why it cannot be read; else None.
    """

    place: str
    id: str | None
    text: str | None
    reason: str | None = None


class Format(NamedTuple):
    """How a file is read.

    Attributes:
        check: raises `UserError` if the file is no table with these columns; reads no more than its beginning.
        rows: yields its rows, from where a slice starts; `before` rows come before.
        slices: divides it into slices of at least so many rows, but for the last: where each starts, the rows before,
            and how many rows it has.
    """

    check: Callable[[Path, Columns], None]
    rows: Callable[[Path, Columns, int, int], Iterator[Row]]
    slices: Callable[[Path, int], list[tuple[int, int, int | None]]]


def row_of(place: str, columns: Columns, name: Any, text: Any) -> Row:
    """Return a row of two values as they stand in a table, or with the reason why it cannot be read."""
    id_ = place
    if columns.id is not None:
        try:
            id_ = printable(identifier(name))
        except UserError as error:
            return Row(place, None, None, str(error))
        if not id_:
            return Row(place, None, None, "no id")
    if text is None:
        return Row(place, id_, None, NO_TEXT)
    if not isinstance(text, str):
        return Row(place, id_, None, "the text is not a string")
    return Row(place, id_, text)


def place_of(path: Path, number: int) -> str:
    """Return the place of a row in messages and, where there is no column of ids, as its id."""
    return printable(f"{path}:{number}")


def printable(name: str) -> str:
    """Return a name that can be written as UTF-8, whatever bytes a file's name has."""
    return name.encode("utf-8", "backslashreplace").decode()


def _check_names(path: Path, columns: Columns, names: list[str], options: str = "columns") -> None:
    wanted = [(columns.text, "--text-column"), (columns.id, "--id-column")]
    check_names(path, [(name, option) for name, option in wanted if name is not None], names, options)


# Text files


def _check_text(path: Path, columns: Columns) -> None:
    """Accept every file: what is wrong with it is the reason of its row."""


def _text_rows(path: Path, columns: Columns, start: int = 0, before: int = 0) -> Iterator[Row]:
    name = printable(str(path))
    with readable(path), opened(path) as file:
        content = file.read()
    try:
        yield Row(name, name, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        yield Row(name, name, None, f"{NOT_UTF8} (byte {error.start + 1})")


# JSON lines


def _object(line: bytes) -> dict[str, Any] | str:
    """Return the object of a line, or why there is none."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return "not JSON"
    return value if isinstance(value, dict) else "not a JSON object"


def _check_jsonl(path: Path, columns: Columns) -> None:
    check_encoding(path)
    keys: set[str] = set()
    for _, line in itertools.islice(lines(path), PROBED):
        value = _object(line)
        keys |= value.keys() if isinstance(value, dict) else set()
    if keys:
        _check_names(path, columns, sorted(keys), f"keys, in the first {PROBED} lines")


def _jsonl_rows(path: Path, columns: Columns, start: int = 0, before: int = 0) -> Iterator[Row]:
    """Yield rows from a byte on."""
    for number, line in lines(path, start, before):
        yield json_row(path, number, line, columns)


def _jsonl_slices(path: Path, rows: int) -> list[tuple[int, int, int | None]]:
    slices: list[tuple[int, int, int | None]] = []
    byte = start = before = found = number = 0
    with readable(path), open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            byte, found = byte + len(line), found + bool(line.strip())
            if found == rows:
                slices.append((start, before, found))
                start, before, found = byte, number, 0
    return [*slices, (start, before, found)] if found or not slices else slices


def json_row(path: Path, number: int, line: bytes, columns: Columns) -> Row:
    """Return the row of a line of JSON, without the mark at the beginning of a file, and its number, from 1."""
    place, value = place_of(path, number), _object(line)
    if isinstance(value, str):
        return Row(place, None, None, value)
    return row_of(place, columns, value.get(columns.id) if columns.id else None, value.get(columns.text))


# CSV


def _check_csv(path: Path, columns: Columns) -> None:
    _check_names(path, columns, csv_header(path))


def _csv_rows(path: Path, columns: Columns, start: int = 0, before: int = 0) -> Iterator[Row]:
    rows = csv_fields(path)
    header = next(rows, [])
    text, name = header.index(columns.text), header.index(columns.id) if columns.id is not None else None
    for number, fields in enumerate((fields for fields in rows if fields), start=1):
        place = place_of(path, number)
        if len(fields) != len(header):
            yield Row(place, None, None, f"has {len(fields)} fields, the header has {len(header)}")
        else:
            yield row_of(place, columns, None if name is None else fields[name], fields[text])


# Parquet


def _check_parquet(path: Path, columns: Columns) -> None:
    import pyarrow as pa

    schema = parquet_schema(path)
    _check_names(path, columns, schema.names)
    of_text = schema.field(columns.text).type
    of_text = of_text.value_type if pa.types.is_dictionary(of_text) else of_text
    if not (pa.types.is_string(of_text) or pa.types.is_large_string(of_text) or pa.types.is_null(of_text)):
        raise UserError(f"{path}: column '{columns.text}' has the type {of_text}, not string")


def _parquet_rows(path: Path, columns: Columns, start: int = 0, before: int = 0) -> Iterator[Row]:
    """Yield rows from a row group on."""
    names = [columns.text] if columns.id is None else [columns.text, columns.id]
    for number, (text, *ids) in enumerate(parquet_values(path, names, start, before), start=before + 1):
        place, name = place_of(path, number), ids[0] if ids else None
        if isinstance(text, bytes):
            yield Row(place, row_of(place, columns, name, "").id, None, NOT_UTF8)
        else:
            yield row_of(place, columns, name, text)


def _parquet_slices(path: Path, rows: int) -> list[tuple[int, int, int | None]]:
    """Return the row group at which each slice starts."""
    slices: list[tuple[int, int, int | None]] = []
    start = before = found = 0
    for group, of_group in enumerate(parquet_groups(path), start=1):
        found += of_group
        if found >= rows:
            slices.append((start, before, found))
            start, before, found = group, before + found, 0
    return [*slices, (start, before, found)] if found or not slices else slices


def _one_slice(path: Path, rows: int) -> list[tuple[int, int, int | None]]:
    return [(0, 0, None)]


FORMATS = {
    ".jsonl": Format(_check_jsonl, _jsonl_rows, _jsonl_slices),
    ".csv": Format(_check_csv, _csv_rows, _one_slice),
    ".parquet": Format(_check_parquet, _parquet_rows, _parquet_slices),
    ".txt": Format(_check_text, _text_rows, _one_slice),
}
FORMATS |= {f"{ending}.gz": FORMATS[ending]._replace(slices=_one_slice) for ending in (".jsonl", ".csv", ".txt")}
