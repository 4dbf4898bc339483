"""Options of MIMIC-III."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.section import Section


class Options(Section):
    """MIMIC-III v1.4 tables: which code systems to predict, and whether to reproduce the papers' code errors."""

    systems: Annotated[list[Literal["icd9cm", "icd9proc"]], Field(min_length=1)]
    legacy_codes: bool = False

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
