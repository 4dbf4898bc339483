"""Files of records, read a record at a time: lines, CSV and Parquet. Values stay what they are: text is never a number.

No message ever has a value of a record.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from medcode.errors import UserError, nearest

LONGEST_FIELD = 2**26  # characters; a longer one in a CSV file lacks its closing quote
# Names of columns that messages list. The first line of a file without a header has ids, dates and text of a note.
NAME = re.compile(r"[^\W\d][\w.;/#-]{0,60}")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # other than commas
PARQUET_ROWS = 64  # read at a time
# Of pyarrow's ParquetFile, whose defaults read a whole row group at once, and keep those of before.
STREAMED = {"pre_buffer": False, "buffer_size": 2**20}
NOT_UTF8 = "not UTF-8 text"
CONVERT = "convert it, for instance with iconv -f UTF-16 -t UTF-8"


def opened(path: Path) -> IO[bytes]:
    """Open a file that may be compressed."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.name.endswith(".gz") else open(path, "rb")


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a missing or damaged file raises into one line."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cut off or damaged ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def lines(path: Path, start: int = 0, before: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers from 1.

    Args:
        start: byte at which a line begins, from which on they are read.
        before: number of lines before it.

    Raises:
        UserError: the file is missing or damaged.
    """
    with readable(path), opened(path) as file:
        file.seek(start)
        for number, line in enumerate(file, start=before + 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def check_encoding(path: Path) -> None:
    """Refuse a file that begins as UTF-16 does.

    Raises:
        UserError: it does; or it is missing or damaged.
    """
    with readable(path), opened(path) as file:
        beginning = file.read(4096)
    if b"\0" in beginning or beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: {NOT_UTF8} (it has NUL bytes or the mark of UTF-16); {CONVERT}")


def csv_fields(path: Path, *, strict: bool = False) -> Iterator[list[str]]:
    """Yield the fields of each record; a byte that is no UTF-8 becomes half a surrogate pair.

    Args:
        strict: refuse quotes in the wrong place. Without a closing one, all rows to the end would be one field.

    Raises:
        UserError: the file is missing, damaged or no CSV.
    """
    csv.field_size_limit(LONGEST_FIELD)
    with readable(path), opened(path) as raw:
        text = TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, strict=strict)
        try:
            yield from reader
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from error


def csv_header(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises:
        UserError: as `csv_fields`; or the file is empty, or not UTF-8.
    """
    check_encoding(path)
    if not (header := next(csv_fields(path), None)):
        raise UserError(f"{path}: empty; its first line must name the columns")
    return header


def parquet(path: Path, file: IO[bytes]) -> Any:
    """Open a Parquet file so that little of it is in memory at once.

    Raises:
        UserError: it is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, **STREAMED)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet table") from error


def parquet_schema(path: Path) -> Any:
    """Return names and types of the columns.

    Raises:
        UserError: the file is missing, or no Parquet.
    """
    with readable(path), open(path, "rb") as file:
        return parquet(path, file).schema_arrow


def parquet_groups(path: Path) -> list[int]:
    """Return the number of rows of each row group.

    Raises:
        UserError: the file is missing, or no Parquet.
    """
    with readable(path), open(path, "rb") as file:
        metadata = parquet(path, file).metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def parquet_values(path: Path, names: Sequence[str], start: int = 0, before: int = 0) -> Iterator[list[Any]]:
    """Yield the values of some columns, row by row; bytes for a string that is no UTF-8.

    Args:
        names: of the columns.
        start: number of the first row group that is read, from 0.
        before: number of rows before it.

    Raises:
        UserError: the file is missing or damaged.
    """
    import pyarrow as pa

    number = before
    with readable(path), open(path, "rb") as file:
        try:
            table, columns = parquet(path, file), list(dict.fromkeys(names))
            groups = range(start, table.num_row_groups)
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, columns=columns, row_groups=groups):
                for row in zip(*(_values(batch[name]) for name in names), strict=True):
                    number += 1
                    yield list(row)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: damaged behind row {number}") from error


def _values(column: Any) -> Iterator[Any]:
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


def check_names(path: Path, wanted: Sequence[tuple[str, str]], names: Sequence[str], kind: str = "columns") -> None:
    """Check that a table has the columns that the user names.

    Args:
        wanted: name of each column, and of the setting that names it.
        names: the columns of the table, which the message lists if all of them look like names.
        kind: what `names` are.

    Raises:
        UserError: columns are missing, or their names come twice; a line for each.
    """
    mistakes = []
    for name, setting in wanted:
        if name not in names:
            hint = _separator_hint(names) or _name_hint(name, names, kind)
            mistakes.append(f"{path}: has no '{name}' among its {kind} ({setting}); {hint}")
        elif list(names).count(name) > 1:
            mistakes.append(f"{path}: has '{name}' twice among its {kind} ({setting}); rename one of them")
    if mistakes:
        raise UserError(*dict.fromkeys(mistakes))


def _separator_hint(names: Sequence[str]) -> str | None:
    """Return a hint if a header was read as one name, or as the line that tells Excel the separator."""
    if names and names[0].lower().startswith("sep="):
        return "its first line is the one that tells Excel the separator; remove it, and separate the fields by commas"
    if len(names) == 1 and (found := next((sign for sign in SEPARATORS if sign in names[0]), None)):
        return f"its fields seem to stand between {SEPARATORS[found]}; export it with commas"
    return None


def _name_hint(name: str, names: Sequence[str], kind: str) -> str:
    if name in map(str.strip, names):
        return "there is one with blanks around it; remove them"
    if not all(map(_is_unicode, names)):
        return f"the header is {NOT_UTF8}; save the table as UTF-8"
    if all(map(NAME.fullmatch, names)):
        return nearest(name, names)
    return f"its {kind} are not listed, because some do not look like names; is the first line a header?"


def rows(path: Path, wanted: Sequence[tuple[str, str]]) -> Iterator[tuple[int, list[Any]]]:
    """Read columns of a table, row by row.

    Args:
        path: a .parquet file; any other is CSV, compressed or not.
        wanted: name of each column, and of the setting that names it.

    Yields:
        The number of the row, from 1, and its values: text, "" for an empty field of CSV; what Parquet has, None for
        null.

    Raises:
        UserError: the file is missing or damaged; a column is missing or comes twice; a row has more or fewer fields
            than the header; a value is not UTF-8.
    """
    if path.name.lower().endswith(".parquet"):
        check_names(path, wanted, parquet_schema(path).names)
        values = parquet_values(path, [name for name, _ in wanted])
    else:
        header = csv_header(path)
        check_names(path, wanted, header)
        values = _csv_values(path, header, [header.index(name) for name, _ in wanted])
    for number, row in enumerate(values, start=1):
        for value, (name, _) in zip(row, wanted, strict=True):
            if isinstance(value, bytes) or (isinstance(value, str) and not _is_unicode(value)):
                raise UserError(f"{path}: row {number}: column '{name}': {NOT_UTF8}; save the table as UTF-8")
        yield number, row


def _csv_values(path: Path, header: list[str], places: list[int]) -> Iterator[list[str]]:
    records = csv_fields(path, strict=True)
    next(records)
    for number, fields in enumerate(records, start=1):
        if fields and len(fields) != len(header):
            raise UserError(
                f"{path}: row {number}: has {len(fields)} fields, the header has {len(header)}; a field with a comma, "
                "a quote or a line break needs quotes around it"
            )
        yield [fields[place] for place in places] if fields else [""] * len(places)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
