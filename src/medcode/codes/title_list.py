"""A user's own list of titles of codes, for editions that are newer than the packages' and for codes of a hospital."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from medcode.codes import formatting
from medcode.errors import UserError

COLUMNS = ("system", "code", "title")


def read(path: Path) -> dict[tuple[str, str], str]:
    """Read a list of titles.

    The first line names the columns, in any order, with commas or tabs between them; lines that start with # are
    comments.

    Returns:
        {(system, code): title}, codes in the standard notation, titles with single blanks.

    Raises:
        UserError: the file cannot be read, is not UTF-8 or has other columns; a system, code or title is not valid; a
            code comes twice. The message names the line.
    """
    titles: dict[tuple[str, str], str] = {}
    line_of: dict[tuple[str, str], int] = {}
    for number, system, code, title in _rows(path):
        try:
            key = system, formatting.normalized(code, system)
        except UserError as error:
            raise UserError(f"{path}: line {number}: {error}") from None
        if key in titles:
            raise UserError(f"{path}: line {number}: {' '.join(key)} has a title already, in line {line_of[key]}")
        if not title:
            raise UserError(f"{path}: line {number}: {' '.join(key)} has no title")
        titles[key], line_of[key] = title, number
    return titles


def _rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield number, system, code and title of each line."""
    expected = f"the columns {', '.join(COLUMNS)}, with commas or tabs between them"
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
            if sorted(columns) != sorted(COLUMNS):
                raise UserError(f"{path}: line {number}: expected {expected}")
        elif len(fields) != len(columns):
            raise UserError(f"{path}: line {number}: expected {len(columns)} values, found {len(fields)}")
        else:
            row = dict(zip(columns, fields, strict=True))
            yield number, row["system"], row["code"], row["title"]
