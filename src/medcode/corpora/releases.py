"""Row counts of the published releases of MIMIC, to name the release and detect truncated tables.

MIMIC-III v1.4: the row counts that its maintainers' validation scripts expect; those of the categories of notes add up
to all of NOTEEVENTS; 52,726 admissions with a discharge summary, Mullenbach et al. 2018. MIMIC-IV v2.2, MIMIC-IV v3.1
and MIMIC-IV-Note v2.2, which goes with both: the same scripts. PhysioNet's description has one note more, which no copy
has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Release:
    """A release and its counts, keyed as in `Extraction.counts`, nested keys joined by a slash."""

    name: str
    counts: dict[str, int]


_CATEGORIES = {
    "Case Management": 967, "Consult": 98, "Discharge summary": 59_652, "ECG": 209_051, "Echo": 45_794,
    "General": 8_301, "Nursing": 223_556, "Nursing/other": 822_497, "Nutrition": 9_418, "Pharmacy": 103,
    "Physician": 141_624, "Radiology": 522_279, "Rehab Services": 5_431, "Respiratory": 31_739, "Social Work": 2_670,
}  # fmt: skip

RELEASES = {
    "mimic3": (
        Release(
            "MIMIC-III v1.4",
            {
                "rows/notes": 2_083_180,
                "rows/icd9cm": 651_047,
                "rows/icd9proc": 240_095,
                **{f"note_rows_by_category/{name}": count for name, count in _CATEGORIES.items()},
                "admissions": 52_726,
            },
        ),
    ),
    "mimic4": (
        Release(
            "MIMIC-IV v2.2 and MIMIC-IV-Note v2.2",
            {
                "rows/notes": 331_793,
                "code_rows_by_table/diagnoses_icd": 4_756_326,
                "code_rows_by_table/procedures_icd": 669_186,
            },
        ),
        Release(
            "MIMIC-IV v3.1 and MIMIC-IV-Note v2.2",
            {
                "rows/notes": 331_793,
                "code_rows_by_table/diagnoses_icd": 6_364_488,
                "code_rows_by_table/procedures_icd": 859_655,
            },
        ),
    ),
}


def compare(corpus: str, counts: dict[str, Any]) -> dict[str, Any] | None:
    """Compare the counts of a corpus with those of its published releases; None for a corpus without a release.

    Returns:
        name: of the release with the fewest differences; compared: number of counts; different: {count: {published,
        counted}}. A table that was not read, because none of its code systems is in use, is not compared.
    """
    if corpus not in RELEASES:
        return None
    return min((_compare(release, counts) for release in RELEASES[corpus]), key=lambda found: len(found["different"]))


def _compare(release: Release, counts: dict[str, Any]) -> dict[str, Any]:
    counted = {name: _at(counts, name) for name in release.counts}
    available = {name: count for name, count in counted.items() if count is not None}
    different = {
        name: {"published": release.counts[name], "counted": count}
        for name, count in available.items()
        if count != release.counts[name]
    }
    return {"name": release.name, "compared": len(available), "different": different}


def _at(counts: dict[str, Any], name: str) -> int | None:
    section, _, key = name.partition("/")
    value = counts.get(section)
    if not key:
        return value
    # A category without rows is absent from the counts.
    missing = 0 if section == "note_rows_by_category" else None
    return (value or {}).get(key, missing)


def remark(comparison: dict[str, Any]) -> str:
    """Name the release in one line, or return the differences from the nearest release as a one-line warning."""
    different = comparison["different"]
    if not different:
        return f"release: {comparison['name']}, by {comparison['compared']} row counts"
    name, first = next(iter(different.items()))
    others = f", and {len(different) - 1} other counts differ" if len(different) > 1 else ""
    return (
        f"warning: not the tables of {comparison['name']}: {name} is {first['counted']:,}, published "
        f"{first['published']:,}{others} (metrics/extract.json lists all)"
    )
