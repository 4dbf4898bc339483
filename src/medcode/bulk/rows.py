"""Rows of tables of notes, one at a time: *.jsonl, *.csv, *.parquet, and text files of one note each.

A row that cannot be read has a reason instead of a text. A file that is no such table at all is a `UserError`. Neither
ever has the text of a note.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from medcode.errors import UserError, nearest

LONGEST_FIELD = 2**26  # characters; a longer one in a CSV file lacks its closing quote
PROBED = 100  # lines of a .jsonl file
PARQUET_ROWS = 64  # read at a time
NO_TEXT, NOT_UTF8 = "no text", "not UTF-8 text"
CONVERT = "convert it, for instance with iconv -f UTF-16 -t UTF-8"


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
        rows: yields its rows.
    """

    check: Callable[[Path, Columns], None]
    rows: Callable[[Path, Columns], Iterator[Row]]


def row_of(place: str, columns: Columns, name: Any, text: Any) -> Row:
    """Return a row of two values as they stand in a table, or with the reason why it cannot be read."""
    if columns.id is None:
        id_ = place
    elif isinstance(name, str | int) and not isinstance(name, bool) and name != "":
        id_ = printable(str(name))
    else:
        return Row(place, None, None, "no id" if name in (None, "") else "the id is neither text nor a whole number")
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


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.name.endswith(".gz") else open(path, "rb")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a missing or damaged file raises into one line."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cut off or damaged ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_encoding(path: Path, beginning: bytes) -> None:
    if b"\0" in beginning or beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: {NOT_UTF8} (it has NUL bytes or the mark of UTF-16); {CONVERT}")


def _check_names(path: Path, columns: Columns, names: list[str], options: str = "columns") -> None:
    for option, name in (("--text-column", columns.text), ("--id-column", columns.id)):
        if name is not None and name not in names:
            raise UserError(f"{path}: has no '{name}' among its {options} ({option}); {nearest(name, names)}")


# Text files


def _check_text(path: Path, columns: Columns) -> None:
    """Accept every file: what is wrong with it is the reason of its row."""


def _text_rows(path: Path, columns: Columns) -> Iterator[Row]:
    name = printable(str(path))
    with _readable(path), _opened(path) as file:
        content = file.read()
    try:
        yield Row(name, name, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        yield Row(name, name, None, f"{NOT_UTF8} (byte {error.start + 1})")


# JSON lines


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with _readable(path), _opened(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


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
    with _readable(path), _opened(path) as file:
        _check_encoding(path, file.read(4096))
    keys: set[str] = set()
    for _, line in itertools.islice(_lines(path), PROBED):
        value = _object(line)
        keys |= value.keys() if isinstance(value, dict) else set()
    if keys:
        _check_names(path, columns, sorted(keys), f"keys, in the first {PROBED} lines")


def _jsonl_rows(path: Path, columns: Columns) -> Iterator[Row]:
    for number, line in _lines(path):
        yield json_row(path, number, line, columns)


def json_row(path: Path, number: int, line: bytes, columns: Columns) -> Row:
    """Return the row of a line of JSON, without the mark at the beginning of a file, and its number, from 1."""
    place, value = place_of(path, number), _object(line)
    if isinstance(value, str):
        return Row(place, None, None, value)
    return row_of(place, columns, value.get(columns.id) if columns.id else None, value.get(columns.text))


# CSV


def _csv_fields(path: Path) -> Iterator[list[str]]:
    # A byte that is no UTF-8 becomes half a surrogate pair, which only its own row is refused for.
    csv.field_size_limit(LONGEST_FIELD)
    with _readable(path), _opened(path) as raw:
        text = TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text)
        try:
            yield from reader
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from error


def _check_csv(path: Path, columns: Columns) -> None:
    with _readable(path), _opened(path) as file:
        _check_encoding(path, file.read(4096))
    header = next(_csv_fields(path), None)
    if not header:
        raise UserError(f"{path}: empty; its first line must name the columns")
    _check_names(path, columns, header)


def _csv_rows(path: Path, columns: Columns) -> Iterator[Row]:
    rows = _csv_fields(path)
    header = next(rows, [])
    text, name = header.index(columns.text), header.index(columns.id) if columns.id is not None else None
    for number, fields in enumerate((fields for fields in rows if fields), start=1):
        place = place_of(path, number)
        if len(fields) != len(header):
            yield Row(place, None, None, f"has {len(fields)} fields, the header has {len(header)}")
        else:
            yield row_of(place, columns, None if name is None else fields[name], fields[text])


# Parquet


def _parquet(path: Path, file: IO[bytes]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)  # not a whole row group at once
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet table") from error


def _check_parquet(path: Path, columns: Columns) -> None:
    import pyarrow as pa

    with _readable(path), open(path, "rb") as file:
        schema = _parquet(path, file).schema_arrow
    _check_names(path, columns, schema.names)
    of_text = schema.field(columns.text).type
    of_text = of_text.value_type if pa.types.is_dictionary(of_text) else of_text
    if not (pa.types.is_string(of_text) or pa.types.is_large_string(of_text) or pa.types.is_null(of_text)):
        raise UserError(f"{path}: column '{columns.text}' has the type {of_text}, not string")


def _parquet_rows(path: Path, columns: Columns) -> Iterator[Row]:
    import pyarrow as pa

    names = [columns.text] if columns.id is None else list(dict.fromkeys((columns.text, columns.id)))
    number = 0
    with _readable(path), open(path, "rb") as file:
        try:
            for batch in _parquet(path, file).iter_batches(batch_size=PARQUET_ROWS, columns=names):
                ids = itertools.repeat(None) if columns.id is None else _values(batch[columns.id])
                for name, text in zip(ids, _values(batch[columns.text]), strict=False):
                    number += 1
                    place = place_of(path, number)
                    if isinstance(text, bytes):
                        yield Row(place, row_of(place, columns, name, "").id, None, NOT_UTF8)
                    else:
                        yield row_of(place, columns, name, text)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: damaged behind row {number}") from error


def _values(column: Any) -> Iterator[Any]:
    """Yield the values of a column; bytes for a string that is no UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        yield from column.to_pylist()
        return
    for value in column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()).to_pylist():
        try:
            yield None if value is None else value.decode()
        except UnicodeDecodeError:
            yield value


FORMATS = {
    ".jsonl": Format(_check_jsonl, _jsonl_rows),
    ".csv": Format(_check_csv, _csv_rows),
    ".parquet": Format(_check_parquet, _parquet_rows),
    ".txt": Format(_check_text, _text_rows),
}
FORMATS |= {f"{ending}.gz": FORMATS[ending] for ending in (".jsonl", ".csv", ".txt")}
