"""Options of your own corpus."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medcode.config.section import Section, System


class Options(Section):
    """Your own corpus, one JSON object per line: which code systems to predict."""

    systems: Annotated[list[System], Field(min_length=1)]

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.systems)
