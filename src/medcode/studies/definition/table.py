"""Tables of studies: what a published table and that of a study without a paper have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config import LabelSet, Section
from medcode.errors import UserError, nearest
from medcode.evaluation import metric_table

# {metric of a trained row: title in a table}.
METRICS = metric_table.columns()
# Further columns with a title. Any other column, such as a number of documents, is only a fact of the paper.
TITLES = METRICS | {
    "f1_macro_gain": "Gain in F1 macro",
    "trainable": "Trainable, millions",
    "total": "In total, millions",
}
Unit = Literal["percent", "fraction", "count", "millions"]
JOINT = "joint"  # the label set with a head for each edition of ICD
JOINT_HEADS = ("icd9", "icd10")
HEADS = ("icd", "ccs", "category")  # of any other label set


class Group(Section):
    """Columns that belong together: those of one label set and head."""

    label_set: str
    head: str = "icd"
    columns: Annotated[list[str], Field(min_length=1)]


class Table(Section):
    """A table: its title, the unit of its numbers, and its groups of columns, by name.

    `macro_f1` and `threshold` are the definitions of its F1.
    """

    title: str
    unit: Unit
    macro_f1: Literal["caml", "per_label_all", "per_label_present"] = "caml"
    threshold: Literal["fixed", "tuned"] = "fixed"
    remark: str | None = None
    groups: Annotated[dict[str, Group], Field(min_length=1)]

    @property
    def heading(self) -> str:
        """The title, as a heading."""
        return self.title

    @property
    def scale(self) -> float:
        """Factor from a metric between 0 and 1 to the unit of the table."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def decimals(self) -> int:
        """Number of decimals in the table."""
        return {"percent": 1, "fraction": 3, "count": 0, "millions": 1}[self.unit]


class StudyGroup(Group):
    """Columns of a study without a paper: metrics of a head that the label set has."""

    label_set: LabelSet


class StudyTable(Table):
    """The table of a study without a paper, which only has rows that the study trains."""

    unit: Literal["percent", "fraction"]
    groups: Annotated[dict[str, StudyGroup], Field(min_length=1)]


def check(table: StudyTable, where: str) -> None:
    """Check that every column is a metric of a head that the label set has: others would stay empty.

    Raises:
        UserError: one is not.
    """
    for name, group in table.groups.items():
        heads = JOINT_HEADS if group.label_set == JOINT else HEADS
        if group.head not in heads:
            raise UserError(
                f"{where}.groups.{name}: {group.label_set} has no head {group.head}; {nearest(group.head, heads)}"
            )
        for column in group.columns:
            if column not in METRICS:
                raise UserError(
                    f"{where}.groups.{name}.columns: there is no metric {column}; {nearest(column, METRICS)}"
                )


def column_title(column: str) -> str:
    """Return the title of a column."""
    return TITLES.get(column, column)
