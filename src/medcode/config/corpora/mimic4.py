"""Options of MIMIC-IV."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.section import Section


class Options(Section):
    """MIMIC-IV v2.2 tables with MIMIC-IV-Note: which code systems to predict."""

    systems: Annotated[list[Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]], Field(min_length=1)]

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
