"""Options of MIMIC-III."""

from __future__ import annotations

from typing import Literal

from medcode.config.section import Section


class Options(Section):
    """MIMIC-III v1.4 tables: which code systems to predict, and whether to reproduce the papers' code errors."""

    systems: list[Literal["icd9cm", "icd9proc"]]
    legacy_codes: bool = False
