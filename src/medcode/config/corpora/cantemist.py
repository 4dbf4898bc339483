"""Options of CANTEMIST."""

from __future__ import annotations

from typing import Literal

from medcode.config.section import Section


class Options(Section):
    """CANTEMIST v6: which of its two development sets is dev. If it is one of them, the other one belongs to train."""

    dev: Literal["both", "set1", "set2"]

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return ["icdo3"]
