"""How much of a corpus the reference tables know: its codes that have a title, a CCS category, a GEM entry."""

from __future__ import annotations

import pandas as pd


def coverage(
    codes: pd.DataFrame, titles: pd.DataFrame, ccs: pd.DataFrame, gem: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Measures, per system, the share of codes that each table knows.

    Args:
        codes: system, code; a code that comes several times counts as one.
        titles, ccs: system, code and more.
        gem: source_system, source, target and more; a row without a target is an entry too, which says that no code
            of the other system means the same: that share is given apart.

    Returns:
        {system: {codes, title, ccs, gem, gem_no_map}}: their number, and shares between 0 and 1.
    """
    distinct = codes[["system", "code"]].drop_duplicates()
    sources = gem.rename(columns={"source_system": "system", "source": "code"})
    known = {"title": titles, "ccs": ccs, "gem": sources[sources["target"].notna()], "any_row": sources}
    measured = {}
    for system in sorted(set(distinct["system"])):
        own = set(distinct.loc[distinct["system"] == system, "code"].tolist())
        entries = {name: rows.loc[rows["system"] == system, "code"].tolist() for name, rows in known.items()}
        share = {name: len(own.intersection(codes)) / len(own) for name, codes in entries.items()}
        share["gem_no_map"] = share.pop("any_row") - share["gem"]
        measured[system] = {"codes": len(own), **share}
    return measured
