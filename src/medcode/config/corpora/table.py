"""Options of your own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from medcode.config.section import Section, System

NONE = "none"
ENDINGS = (".csv", ".csv.gz", ".parquet")


def _table(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("expected a file within the folder of the corpus")
    if not name.lower().endswith(ENDINGS):
        raise ValueError(f"expected the name of a file that ends in {', '.join(ENDINGS)}")
    return name


File = Annotated[str, AfterValidator(_table)]
Name = Annotated[str, Field(min_length=1)]


class CodeColumn(Section):
    """A column of codes: of the notes' table, or of another one.

    Attributes:
        file: the table.
        code: the column; several codes in a field stand between separators.
        system: the code system of all its codes, or else the column that names it in each row.
        admission: the column of admissions, where it is not called as in the notes' table.
        separator: what stands between the codes of a field.
    """

    file: File
    code: Name
    system: Name
    admission: Name | None = None
    separator: Name = ";"


class Options(Section):
    """Your own tables in CSV or Parquet: their files, their columns, and which code systems to predict."""

    notes: File
    admission: Name
    text: Name
    patient: Name
    date: Name
    split: Name
    codes: Annotated[list[CodeColumn], Field(min_length=1)]
    systems: Annotated[list[System], Field(min_length=1)]

    @model_validator(mode="after")
    def _text_is_nothing_else(self) -> Options:
        # Ids, dates and codes may stand in messages and metrics; the text may not.
        columns = {"admission": self.admission, "patient": self.patient, "date": self.date, "split": self.split}
        columns |= {f"codes.{number}.code": one.code for number, one in enumerate(self.codes) if one.file == self.notes}
        for key, column in columns.items():
            if column == self.text:
                raise ValueError(f"{key}: '{column}' is the column of the text")
        return self

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
