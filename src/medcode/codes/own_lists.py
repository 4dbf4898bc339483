"""A user's own lists of titles and synonyms of codes, for newer editions and for terms that may not be passed on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from medcode.codes import formatting
from medcode.errors import UserError

# (system, code) in the standard notation
Code = tuple[str, str]


def read_titles(path: Path) -> dict[Code, str]:
    """Read a list of titles, with the columns system, code and title (`_rows` says how it may be written).

    Returns:
        {(system, code): title}, codes in the standard notation, titles with single blanks.

    Raises:
        UserError: as for `_rows`, or a code comes twice. The message names the line.
    """
    titles: dict[Code, str] = {}
    line_of: dict[Code, int] = {}
    for number, key, title in _rows(path, "title"):
        if key in titles:
            raise UserError(f"{path}: line {number}: {' '.join(key)} has a title already, in line {line_of[key]}")
        titles[key], line_of[key] = title, number
    return titles


def read_synonyms(path: Path) -> list[tuple[str, str, str]]:
    """Read a list of synonyms, with the columns system, code and synonym (`_rows` says how it may be written).

    A code may have any number of synonyms.

    Returns:
        system, code and synonym of each line, codes in the standard notation, synonyms with single blanks.

    Raises:
        UserError: as for `_rows`, or a code has the same synonym twice. The message names the line.
    """
    line_of: dict[tuple[str, str, str], int] = {}
    for number, key, synonym in _rows(path, "synonym"):
        row = (*key, synonym)
        if row in line_of:
            raise UserError(f"{path}: line {number}: {' '.join(key)} has this synonym already, in line {line_of[row]}")
        line_of[row] = number
    return list(line_of)


def _rows(path: Path, column: str) -> Iterator[tuple[int, Code, str]]:
    """Yield number, code and text of each line of a list.

    The first line names the columns, in any order, with commas or tabs between them; lines that start with # are
    comments.

    Args:
        path: of the list.
        column: name of the column of the texts.

    Raises:
        UserError: the file cannot be read, is not UTF-8 or has other columns; a system, code or text is not valid. The
            message names the line.
    """
    for number, system, code, text in _values(path, ("system", "code", column)):
        try:
            key = system, formatting.normalized(code, system)
        except UserError as error:
            raise UserError(f"{path}: line {number}: {error}") from None
        if not text:
            raise UserError(f"{path}: line {number}: {' '.join(key)} has no {column}")
        yield number, key, text


def _values(path: Path, names: tuple[str, str, str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield number and values of each line, in the order of the names of the columns."""
    expected = f"the columns {', '.join(names)}, with commas or tabs between them"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [(number, line) for number, line in enumerate(file, 1) if line.strip() and not line.startswith("#")]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error
    if not lines:
        raise UserError(f"{path}: empty; expected {expected}")
    separator = "\t" if "\t" in lines[0][1] else ","
    columns: list[str] = []
    for number, line in lines:
        try:
            fields = [" ".join(field.split()) for field in next(csv.reader([line], delimiter=separator, strict=True))]
        except csv.Error as error:
            raise UserError(f"{path}: line {number}: {error}") from error
        if not columns:
            columns = fields
            if sorted(columns) != sorted(names):
                raise UserError(f"{path}: line {number}: expected {expected}")
        elif len(fields) != len(columns):
            raise UserError(f"{path}: line {number}: expected {len(columns)} values, found {len(fields)}")
        else:
            first, second, third = (fields[columns.index(name)] for name in names)
            yield number, first, second, third
