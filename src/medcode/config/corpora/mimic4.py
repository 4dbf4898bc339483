"""Options of MIMIC-IV."""

from __future__ import annotations

from medcode.config.section import Section, System


class Options(Section):
    """MIMIC-IV v2.2 tables with MIMIC-IV-Note: which code systems to predict."""

    systems: list[System]
