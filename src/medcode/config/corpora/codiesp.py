"""Options of CodiEsp."""

from __future__ import annotations

from typing import Literal

from medcode.config.section import Section

SYSTEMS = {"D": "icd10cm", "P": "icd10pcs"}


class Options(Section):
    """CodiEsp v4: the language of the text, and the track to predict (D: diagnoses, P: procedures, or both)."""

    language: Literal["en", "es"]
    track: Literal["D", "P", "both"]

    @property
    def tracks(self) -> dict[str, str]:
        """The chosen tracks, and the code system of each."""
        return {track: system for track, system in SYSTEMS.items() if self.track in (track, "both")}

    @property
    def code_systems(self) -> list[str]:
        """Systems that a code of the corpus may be of."""
        return list(self.tracks.values())
