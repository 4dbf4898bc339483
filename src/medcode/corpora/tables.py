"""Reading the CSV tables of MIMIC, compressed or not, a chunk at a time.

The whole NOTEEVENTS table takes 7 GB in pandas; twenty thousand rows of three columns at a time stay below 300 MB.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
from tqdm import tqdm

from medcode.codes import formatting
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError, nearest
from medcode.identifiers import whole_number

CHUNK = 20_000
_AS_TEXT = {"dtype": str, "na_filter": False, "encoding": "utf-8", "encoding_errors": "replace"}


def find(folder: Path, name: str, subfolders: tuple[str, ...] = ("",)) -> Path:
    """Find a table as NAME.csv.gz or NAME.csv, ignoring case; the compressed one takes precedence.

    Args:
        subfolders: subfolders to search, in this order; "" is the folder itself.

    Raises:
        UserError: the table is in none of them.
    """
    if (path := find_optional(folder, name, subfolders)) is None:
        where = " or ".join(str(folder / subfolder) for subfolder in subfolders)
        raise UserError(f"{where}: there is no {name}.csv.gz and no {name}.csv; link the table there (docs/DATA.md)")
    return path


def find_optional(folder: Path, name: str, subfolders: tuple[str, ...] = ("",)) -> Path | None:
    """Find a table as `find` does; None if it is in none of the subfolders."""
    for subfolder in subfolders:
        place = folder / subfolder
        files = {path.name.lower(): path for path in sorted(place.iterdir())} if place.is_dir() else {}
        for spelling in (f"{name}.csv.gz", f"{name}.csv"):
            if spelling.lower() in files:
                return files[spelling.lower()]
    return None


def chunks(path: Path, columns: list[str], size: int = CHUNK) -> Iterator[pd.DataFrame]:
    """Read columns of a table, `size` rows at a time, as text; an empty value is "".

    Bytes that are not UTF-8 become U+FFFD.

    Args:
        columns: names in lower case; case in the file is ignored.

    Raises:
        UserError: a column is missing or comes twice; the file is cut off, damaged or not a table.
    """
    header = _header(path)
    for column in columns:
        if column not in header:
            raise UserError(f"{path}: there is no column {column.upper()}; {nearest(column, header)}")
    # All columns are parsed: only then does pandas check the number of fields of a row. It costs no time.
    with _reading(path), _opened(path) as (file, raw), _progress(path) as bar:
        for chunk in pd.read_csv(file, names=header, header=0, index_col=False, chunksize=size, **_AS_TEXT):
            bar.update(raw.tell() - bar.n)
            yield chunk[columns]


def _header(path: Path) -> list[str]:
    with _reading(path), _opened(path) as (file, _):
        # Two rows, because the number of fields in the second one keeps pandas from inferring an index.
        first = pd.read_csv(file, header=None, nrows=2, **_AS_TEXT).iloc[0]
    header = [name.strip().lower() for name in first]
    if len(set(header)) < len(header):
        raise UserError(f"{path}: a column name comes twice in the header")
    return header


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a table; yield its decompressed stream, and the raw file, whose position shows the progress."""
    with open(path, "rb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as file:
                yield file, raw
        else:
            yield raw, raw


def _progress(path: Path) -> tqdm:
    return tqdm(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=None)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert errors of a damaged file to `UserError`. Messages of pandas name rows, never contents."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cut off or damaged ({error}); fetch it again and compare its SHA-256") from error
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path}: empty, not even a header") from error
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise UserError(f"{path}: not a whole CSV table ({reason})") from error
    except OSError as error:
        raise UserError(f"{path}: could not be read ({error.strerror or error})") from error


def add_spans(spans: Spans, notes: Notes, path: Path, systems: Container[str]) -> None:
    """Add the spans of a table in the style of MIMIC, which the synthetic corpora have.

    Its columns are hadm_id, note (0, 1, ... among the discharge summaries of the admission, in file order), system,
    code (without a point), start and end.

    Args:
        systems: code systems to keep.

    Raises:
        UserError: a column is missing, a value is not a whole number, or a span is not within its note.
    """
    row = 0
    for chunk in chunks(path, ["hadm_id", "note", "system", "code", "start", "end"], size=200_000):
        for admission, note, system, code, start, end in chunk.itertuples(index=False):
            row += 1
            admission = whole_number(admission)
            if system not in systems or admission not in notes:
                continue
            try:
                if not all(number.isdecimal() for number in (note, start, end)):
                    raise UserError("note, start and end must be whole numbers")
                part = (int(start), int(end))
                spans.add(admission, system, formatting.dotted(code, system), [part], note=int(note))
            except UserError as error:
                raise UserError(f"{path}: row {row}: {error}") from None
