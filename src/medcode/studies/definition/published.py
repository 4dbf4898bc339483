"""Strict reader of the papers' tables: studies/published/<paper>.yaml.

A cell is as the paper prints it: `92.1`, `92.1±0.1`, or null without a legible number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from medcode import config
from medcode.config import Section, build
from medcode.config.section import Count
from medcode.errors import UserError, nearest
from medcode.studies.definition.table import Table

CORPORA = {"mimic3": "MIMIC-III", "mimic4": "MIMIC-IV", "codiesp": "CodiEsp", "cantemist": "CANTEMIST"}


class Codes(Section):
    """A subset of the codes: a group of training frequency, optionally only those with or without a link.

    A code is `linked` if GEMs lead to a code of the other edition of ICD; null takes both.
    """

    group: str
    linked: bool | None = None


class PublishedRow(Section):
    """A published row: cells by group, in the order of the columns.

    `quoted` marks numbers that the paper quotes from other publications. `slips` are misprints and contradictions, by
    `group.column`. In a row about the gain of one system over another, `codes` is the subset of codes.
    """

    cells: dict[str, list[float | str | None]]
    quoted: bool = False
    codes: Codes | None = None
    slips: dict[str, str] = Field({})


class PublishedTable(Table):
    """A published table, or the numbers of a figure from the text.

    `seeds` is the number of trainings behind a number with a deviation.
    """

    number: str
    corpus: Literal["mimic3", "mimic4", "codiesp", "cantemist"]
    seeds: Count | None = None
    rows: dict[str, PublishedRow] = Field({})

    @property
    def heading(self) -> str:
        """The number in the paper and the title."""
        return f"{self.number}: {self.title}"


class Paper(Section):
    """A publication and its tables, by key.

    `text` is the file with the text of the paper, against which the numbers are checked. Without it, the remark of each
    table gives the source of its numbers.
    """

    title: str
    authors: str
    year: Count
    short: str
    text: str | None = None
    tables: dict[str, PublishedTable]


@dataclass(frozen=True)
class Cell:
    """A published number with its standard deviation; NaN if the paper gives none."""

    value: float
    deviation: float = math.nan


def cell(text: float | str | None) -> Cell | None:
    """Parse a cell: 92.1, "92.1±0.1" or None."""
    if text is None:
        return None
    value, _, deviation = str(text).partition("±")
    return Cell(float(value), float(deviation) if deviation else math.nan)


def load(folder: Path, name: str) -> Paper:
    """Read the file of a paper.

    Raises:
        UserError: there is no such paper, a key is wrong, a row has not one cell per column, or a cell is not a
            number.
    """
    papers = sorted(path.stem for path in folder.glob("*.yaml"))
    path = folder / f"{name}.yaml"
    if name not in papers:
        raise UserError(f"{path}: there is no such paper; {nearest(name, papers)}")
    paper = build(Paper, config.read_yaml(path), path)
    for key, table in paper.tables.items():
        for title, row in table.rows.items():
            _check(row, table, f"{path}: tables.{key}.rows.{title}")
    return paper


def _check(row: PublishedRow, table: PublishedTable, where: str) -> None:
    for group, cells in row.cells.items():
        if group not in table.groups:
            raise UserError(f"{where}: there is no group {group}; {nearest(group, table.groups)}")
        if len(cells) != len(table.groups[group].columns):
            expected = len(table.groups[group].columns)
            raise UserError(f"{where}.{group}: expected {expected} cells, one a column, found {len(cells)}")
        for text in cells:
            try:
                cell(text)
            except ValueError as error:
                raise UserError(f"{where}.{group}: expected 92.1, 92.1±0.1 or null, found {text!r}") from error
    for slip in row.slips:
        group, _, column = slip.partition(".")
        if group not in row.cells or column not in table.groups[group].columns:
            raise UserError(f"{where}.slips: there is no cell {slip}")
