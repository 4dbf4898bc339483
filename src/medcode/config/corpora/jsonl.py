"""Options of your own corpus."""

from __future__ import annotations

from medcode.config.section import Section, System


class Options(Section):
    """Your own corpus, one JSON object per line: which code systems to predict."""

    systems: list[System]
