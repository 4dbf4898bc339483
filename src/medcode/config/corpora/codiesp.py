"""Options of CodiEsp."""

from __future__ import annotations

from typing import Literal

from medcode.config.section import Section


class Options(Section):
    """CodiEsp v4: the language of the text and which code systems (D: icd10cm, P: icd10pcs) to predict."""

    language: Literal["en", "es"]
    systems: list[Literal["icd10cm", "icd10pcs"]]
