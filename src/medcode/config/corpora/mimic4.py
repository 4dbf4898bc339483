"""Options of MIMIC-IV."""

from __future__ import annotations

from typing import Literal

from medcode.config.section import Section


class Options(Section):
    """MIMIC-IV v2.2 tables with MIMIC-IV-Note: which code systems to predict."""

    systems: list[Literal["icd9cm", "icd9proc", "icd10cm", "icd10pcs"]]
