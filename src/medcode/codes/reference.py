"""Descriptions of codes, from the tables in packages, or from the official files of CMS and AHRQ.

Descriptions come from the current editions (CMS ICD-9-CM v32, CDC's ICD-10-CM of April 2026, CMS ICD-10-PCS 2024).
Corpora also use other codes: MIMIC-III has codes that were retired before v32 (585, procedure 36.05), and CodiEsp
assigns categories (K80, 0DTJ). A retired code gets the description of ICD-10-CM 2024, or the short one of AHRQ's
tables. A category gets its title in ICD-10-CM, else the common beginning of the descriptions of all codes below it.
Official files replace the descriptions of ICD-9-CM; those of ICD-10 always come from the packages. A user's own titles
hold over all of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from medcode import io
from medcode.codes import formatting, sources, tabular

SCHEMA = pa.schema([(name, pa.string()) for name in ("system", "code", "description", "source")])

# system: file, encoding; each line is a code, blanks and its description. ICD-10-CM codes of its file that are not
# in the tabular list are retired.
_TABLES = {
    "icd9cm": ("ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_DX.txt", "latin-1"),
    "icd9proc": ("ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_SG.txt", "latin-1"),
    "icd10cm": ("ICD_10_CM_2024_release/icd10cm-codes-2024.txt", "utf-8"),
    "icd10pcs": ("ICD_10_CM_2024_release/icd10pcs-codes-2024.txt", "utf-8"),
}
_OFFICIAL = {"icd9cm": sources.DIAGNOSIS_DESCRIPTIONS, "icd9proc": sources.PROCEDURE_DESCRIPTIONS}
# CCS lists all codes, current and retired; descriptions are in the fourth column.
_OFFICIAL_RETIRED = {"icd9cm": sources.CCS_DIAGNOSES, "icd9proc": sources.CCS_PROCEDURES}
_CCS_DESCRIPTION = 3
# AHRQ's Chronic Condition Indicators list all diagnoses of the years in which they were maintained.
_RETIRED = {"icd9cm": ("cci2015.csv", "utf-8", 1), "icd10cm": ("CCIR_v2023-1.csv", "utf-8", 3)}

# The package has no table of retired procedures. ICD-9-CM: those valid at some time since 2001, when MIMIC-III begins.
# ICD-10-PCS: those used by CodiEsp (edition of 2018).
_RETIRED_PROCEDURES = {
    "icd9proc": {
        "02.2": "Ventriculostomy",
        "13.9": "Other operations on lens",
        "32.3": "Segmental resection of lung",
        "32.4": "Lobectomy of lung",
        "32.5": "Complete pneumonectomy",
        "36.01": "Percutaneous transluminal coronary angioplasty of a single vessel, without thrombolytic agent",
        "36.02": "Percutaneous transluminal coronary angioplasty of a single vessel, with thrombolytic agent",
        "36.05": "Percutaneous transluminal coronary angioplasty of multiple vessels",
        "37.4": "Repair of heart and pericardium",
        "37.5": "Heart transplantation",
        "39.8": "Operations on carotid body and other vascular bodies",
        "45.8": "Total intra-abdominal colectomy",
        "48.5": "Abdominoperineal resection of rectum",
        "53.7": "Repair of diaphragmatic hernia, abdominal approach",
        "67.5": "Repair of internal cervical os",
        "68.3": "Subtotal abdominal hysterectomy",
        "68.4": "Total abdominal hysterectomy",
        "68.6": "Radical abdominal hysterectomy",
        "68.7": "Radical vaginal hysterectomy",
        "81.61": "Spinal fusion of 360 degrees, single incision approach",
        "84.58": "Implantation of interspinous process decompression device",
        "85.7": "Total reconstruction of breast",
    },
    "icd10pcs": {
        "06183DY": "Bypass Portal Vein to Lower Vein with Intraluminal Device, Percutaneous Approach",
        "3E0R3CZ": "Introduction of Regional Anesthetic into Spinal Canal, Percutaneous Approach",
        "3E0T3CZ": "Introduction of Regional Anesthetic into Peripheral Nerves and Plexi, Percutaneous Approach",
        "5A15223": "Extracorporeal Membrane Oxygenation, Continuous",
        "5A1D00Z": "Performance of Urinary Filtration, Single",
        "5A1D60Z": "Performance of Urinary Filtration, Multiple",
    },
}

# Lengths of categories, without the point. For PCS up to the body part: CodiEsp uses the first four characters.
_CATEGORIES = {"icd9cm": (3, 4), "icd9proc": (2, 3), "icd10cm": (3, 6), "icd10pcs": (3, 4)}

# Words at the end of a description that is cut in the middle of a phrase; they are removed.
_DANGLING = {
    "", "a", "an", "and", "any", "as", "at", "by", "due", "during", "except", "following", "for", "from", "in", "into",
    "involving", "nec", "not", "of", "on", "or", "other", "specified", "than", "that", "the", "through", "to", "under",
    "unspecified", "using", "via", "with", "within", "without",
}  # fmt: skip
_WORDS = re.compile(r"[^\s,]+|,")
_YEARS = re.compile(r"\s*\((?:begin|end)\b.*$", re.IGNORECASE)


def descriptions(official: Path | None = None, own: Mapping[tuple[str, str], str] | None = None) -> pa.Table:
    """Build the table of descriptions.

    Args:
        official: the folder of official files; None: the packages' tables.
        own: {(system, code): title} of the user; codes are dotted.

    Returns:
        system, code (dotted), description, source (current, retired, category or own), sorted by system and code;
        unique codes.

    Raises:
        UserError: an official file or a package is missing, or a package is another release.
    """
    rows: list[tuple[str, ...]] = []
    for system in _TABLES:
        current = dict(_current(system, official))
        retired = {code: description for code, description in _retired(system, official) if code not in current}
        categories = _categories(current, system)
        described = {  # the later of two descriptions of a code holds
            formatting.dotted(code, system): (description, source)
            for source, listed in (("category", categories), ("retired", retired), ("current", current))
            for code, description in listed.items()
        }
        described |= {code: (title, "own") for (of, code), title in (own or {}).items() if of == system}
        rows += ((system, code, description, source) for code, (description, source) in sorted(described.items()))
    return io.table_of(rows, SCHEMA)


def metrics(table: pa.Table) -> dict[str, dict[str, int]]:
    """Count the result of `descriptions`: {system: {source: descriptions}}."""
    counts: dict[str, dict[str, int]] = {}
    for (system, source), number in table.to_pandas().groupby(["system", "source"]).size().items():
        counts.setdefault(system, {})[source] = int(number)
    return counts


def _current(system: str, official: Path | None) -> Iterator[tuple[str, str]]:
    if system == "icd10cm":
        yield from ((entry.code, entry.title) for entry in tabular.entries() if entry.is_code)
    elif official is not None and system in _OFFICIAL:
        yield from _listed(sources.official(official, _OFFICIAL[system]))
    else:
        yield from _listed(sources.package(*_TABLES[system]))


def _listed(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        code, _, description = line.strip().partition(" ")
        if code:
            yield code, description.strip()


def _retired(system: str, official: Path | None) -> Iterator[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if official is not None and system in _OFFICIAL_RETIRED:
        lines = sources.official(official, _OFFICIAL_RETIRED[system])
        rows += ((row[0], row[_CCS_DESCRIPTION]) for row in sources.rows(lines, 2))
    if system in _RETIRED:
        file, encoding, header = _RETIRED[system]
        rows += ((row[0], row[1]) for row in sources.rows(sources.package(file, encoding), header))
    for code, description in rows:
        description = _YEARS.sub("", description).strip("' ")
        if code and description:
            yield code, description
    # Full descriptions come last and replace AHRQ's, which are abbreviated.
    if system == "icd10cm":
        yield from _listed(sources.package(*_TABLES[system]))
    for code, description in _RETIRED_PROCEDURES.get(system, {}).items():
        yield formatting.undotted(code), description


def _categories(current: dict[str, str], system: str) -> dict[str, str]:
    """Map each category to its title, or to the common beginning of all descriptions below it, if there is one."""
    shortest, longest = _CATEGORIES[system]
    extremes: dict[str, tuple[list[str], list[str]]] = {}
    for code, description in current.items():
        words = _WORDS.findall(description)
        for length in range(shortest, min(longest + 1, len(code))):
            # A beginning shared by the alphabetically first and last description is shared by all.
            low, high = extremes.get(code[:length], (words, words))
            extremes[code[:length]] = (min(low, words), max(high, words))
    descriptions = {code: _common_beginning(*pair) for code, pair in extremes.items() if code not in current}
    if system == "icd10cm":
        descriptions |= {entry.code: entry.title for entry in tabular.entries() if not entry.is_code}
    return {
        code: description
        for code, description in descriptions.items()
        if description and formatting.is_valid(formatting.dotted(code, system), system)
    }


def _common_beginning(first: list[str], second: list[str]) -> str:
    shared = [a for a, b in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]
    while shared and shared[-1].strip(",;:-([").lower() in _DANGLING:
        shared.pop()
    description = " ".join(shared).replace(" ,", ",")
    for opening, closing in ("()", "[]"):
        if description.count(opening) > description.count(closing):
            description = description[: description.rindex(opening)]
    return description.strip(" ,;:-")
