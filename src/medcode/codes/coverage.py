"""Coverage of a corpus by the reference tables: share of its codes with a description, a CCS category, a GEM entry."""

from __future__ import annotations

import pandas as pd


def coverage(
    codes: pd.DataFrame, descriptions: pd.DataFrame, ccs: pd.DataFrame, gem: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Measure, per system, the share of distinct codes in each table.

    Args:
        codes: system, code; duplicates count once.
        descriptions, ccs: system, code and more.
        gem: source_system, source, target and more. A row without a target says that the other system has no
            equivalent; the share of these codes is returned separately.

    Returns:
        {system: {codes, description, ccs, gem, gem_no_map}}: the number of codes, and shares between 0 and 1.
    """
    distinct = codes[["system", "code"]].drop_duplicates()
    sources = gem.rename(columns={"source_system": "system", "source": "code"})
    tables = {"description": descriptions, "ccs": ccs, "gem": sources[sources["target"].notna()], "any_row": sources}
    result = {}
    for system in sorted(set(distinct["system"])):
        system_codes = set(distinct.loc[distinct["system"] == system, "code"].tolist())
        entries = {name: rows.loc[rows["system"] == system, "code"].tolist() for name, rows in tables.items()}
        share = {name: len(system_codes.intersection(listed)) / len(system_codes) for name, listed in entries.items()}
        share["gem_no_map"] = share.pop("any_row") - share["gem"]
        result[system] = {"codes": len(system_codes), **share}
    return result
