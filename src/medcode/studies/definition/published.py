"""The numbers of the papers' tables: studies/published/<paper>.yaml, read strictly.

A cell is written as the paper prints it: `92.1`, `92.1±0.1`, or null where there is no number that can be read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from medcode import config
from medcode.config import Section, build
from medcode.errors import UserError, nearest
from medcode.evaluation import metric_table

# The metrics of a trained row, and how a table names them.
METRICS = metric_table.columns()
# Other columns that have a name of their own; the rest, such as numbers of documents, are facts of the paper alone.
TITLES = METRICS | {
    "f1_macro_gain": "Gain in F1 macro",
    "trainable": "Trainable, millions",
    "total": "In total, millions",
}
Unit = Literal["percent", "fraction", "count", "millions"]
CORPORA = {"mimic3": "MIMIC-III", "mimic4": "MIMIC-IV"}


class Group(Section):
    """Columns that belong together: those of one label set and head."""

    label_set: str
    head: str = "icd"
    columns: Annotated[list[str], Field(min_length=1)]


class Codes(Section):
    """Some of the codes: those of a group of training frequency, and of it only those that are linked or are not.

    `linked` is whether GEMs lead to a code of the other edition of ICD; without it, both.
    """

    group: str
    linked: bool | None = None


class PublishedRow(Section):
    """A row: cells by group, in the order of its columns.

    `quoted` marks numbers that the paper took from other publications. `slips` are misprints and contradictions, by
    `group.column`. `codes` say on which codes one system gains over another, where that is what the row tells.
    """

    cells: dict[str, list[float | str | None]]
    quoted: bool = False
    codes: Codes | None = None
    slips: dict[str, str] = Field({})


class Table(Section):
    """A table, or the numbers that the text gives for a figure.

    `macro_f1` and `threshold` are the definitions by which its F1 was computed; `seeds` how many trainings a number
    with a deviation rests on.
    """

    title: str
    number: str
    corpus: Literal["mimic3", "mimic4"]
    unit: Unit
    macro_f1: Literal["caml", "per_label_all", "per_label_present"] = "caml"
    threshold: Literal["fixed", "tuned"] = "fixed"
    seeds: int | None = None
    remark: str | None = None
    groups: Annotated[dict[str, Group], Field(min_length=1)]
    rows: dict[str, PublishedRow] = Field({})

    @property
    def scale(self) -> float:
        """What a metric between 0 and 1 is multiplied by to be written as the table does."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def decimals(self) -> int:
        """How many the table prints."""
        return {"percent": 1, "fraction": 3, "count": 0, "millions": 1}[self.unit]


class Paper(Section):
    """A publication and its tables, by key.

    `text` is the file with its text, by which the numbers are checked; without it, the remark of each table says how
    its numbers are known.
    """

    title: str
    authors: str
    year: int
    short: str
    text: str | None = None
    tables: dict[str, Table]


@dataclass(frozen=True)
class Cell:
    """A published number with its standard deviation, NaN where the paper gives none."""

    value: float
    deviation: float = math.nan


def column_title(column: str) -> str:
    """How a column is headed."""
    return TITLES.get(column, column)


def cell(written: float | str | None) -> Cell | None:
    """Read a cell: 92.1, "92.1±0.1" or None."""
    if written is None:
        return None
    value, _, deviation = str(written).partition("±")
    return Cell(float(value), float(deviation) if deviation else math.nan)


def load(folder: Path, name: str) -> Paper:
    """Read the file of a paper.

    Raises:
        UserError: there is none, a key is wrong, a row has another number of cells than its group has columns, or a
            cell is not a number.
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


def _check(row: PublishedRow, table: Table, where: str) -> None:
    for group, cells in row.cells.items():
        if group not in table.groups:
            raise UserError(f"{where}: there is no group {group}; {nearest(group, table.groups)}")
        if len(cells) != len(table.groups[group].columns):
            expected = len(table.groups[group].columns)
            raise UserError(f"{where}.{group}: expected {expected} cells, one a column, found {len(cells)}")
        for written in cells:
            try:
                cell(written)
            except ValueError as error:
                raise UserError(f"{where}.{group}: expected 92.1, 92.1±0.1 or null, found {written!r}") from error
    for slip in row.slips:
        group, _, column = slip.partition(".")
        if group not in row.cells or column not in table.groups[group].columns:
            raise UserError(f"{where}.slips: there is no cell {slip}")
