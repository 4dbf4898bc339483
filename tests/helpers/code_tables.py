"""The tables of all codes, built on first use, because some take seconds. Tests must not modify them."""

from __future__ import annotations

import functools
from pathlib import Path

import pandas as pd

from medcode.codes import ccs, gem, reference

KNOWN_PROCEDURES = Path(__file__).resolve().parents[2] / "reference" / "package" / "procedure_ccs.csv"


class CodeTables:
    """Descriptions, CCS and GEMs from a folder of official files, or from the package if it is None."""

    def __init__(self, official: Path | None) -> None:
        self.official = official

    @functools.cached_property
    def descriptions(self) -> pd.DataFrame:
        return reference.descriptions(self.official).to_pandas()

    @functools.cached_property
    def ccs(self) -> pd.DataFrame:
        return ccs.table(self.official, KNOWN_PROCEDURES).to_pandas()

    @functools.cached_property
    def gem(self) -> pd.DataFrame:
        return gem.table(self.official).to_pandas()
