"""Options of MIMIC-III."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from medcode.config.section import Section

NO_EVIDENCE = "none"


def _within(folder: str) -> str:
    parts = Path(folder).parts
    if not parts or Path(folder).is_absolute() or ".." in parts:
        raise ValueError(f"expected a folder within that of the corpus, or {NO_EVIDENCE}")
    return folder


class Options(Section):
    """MIMIC-III v1.4 tables: which code systems to predict, and whether to reproduce the papers' code errors.

    `evidence` is the folder of MDACE's annotation files. It lies within the corpus's folder, on which the stage that
    reads the corpus depends.
    """

    systems: Annotated[list[Literal["icd9cm", "icd9proc"]], Field(min_length=1)]
    legacy_codes: bool = False
    evidence: Annotated[str, AfterValidator(_within)] = NO_EVIDENCE

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
