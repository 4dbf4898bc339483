"""Medical facts behind the corpus, read from the YAML files of `facts` and prepared for sampling."""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from medcode.corpora.synthetic import terminology
from medcode.corpora.synthetic.grammar import Template
from medcode.corpora.synthetic.terminology import is_procedure, plain

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def facts(name: str) -> Any:
    """Read one of the YAML files of facts."""
    with open(files(__package__).joinpath("facts", f"{name}.yaml"), encoding="utf-8") as file:
        return yaml.load(file, LOADER)


@dataclass(frozen=True, slots=True)
class Concept:
    """Expressions of one code in a note: its names, and sentences and drugs that imply it without naming it."""

    concept_type: str
    names: tuple[str, ...]
    course: tuple[Template, ...] = ()
    results: tuple[Template, ...] = ()
    social: tuple[Template, ...] = ()
    drugs: tuple[str, ...] = ()
    family: bool = False

    @property
    def has_evidence(self) -> bool:
        """Whether the concept can be expressed without its name."""
        return bool(self.course or self.results or self.social)


CHRONIC = ("24", "25", "26", "27", "29", "30", "31", "39", "40", "41", "42", "49", "71", "72", "73")


@functools.cache
def concepts() -> dict[str, Concept]:
    """Read the hand-written concepts, by dotted code."""
    entries = facts("diagnoses") | {code: {"type": "procedure"} | entry for code, entry in facts("procedures").items()}
    return {
        code: Concept(
            entry["type"],
            tuple(entry["names"]),
            *(templates(entry.get(key, ())) for key in ("course", "results", "social")),
            tuple(entry.get("drugs", ())),
            entry.get("family", False),
        )
        for code, entry in entries.items()
    }


@functools.cache
def concept(code: str) -> Concept:
    """Return the concept of a code, derived from its description if none is hand-written."""
    return concepts().get(code) or Concept(_concept_type(code), tuple(_names(terminology.icd9_descriptions()[code][0])))


def _concept_type(code: str) -> str:
    if is_procedure(code):
        return "procedure"
    if code[0] in "EV":
        return {"E": "external", "V": "history"}[code[0]]
    return "chronic" if code.startswith(CHRONIC) else "acute"


@functools.cache
def _shortening() -> tuple[re.Pattern, dict[str, str]]:
    table = facts("abbreviations")
    return re.compile("|".join(map(re.escape, table["drop"])), re.IGNORECASE), table["words"]


def _names(description: str) -> list[str]:
    return terminology.variants(description, *_shortening())


def templates(texts: Any) -> tuple[Template, ...]:
    """Parse a list of templates."""
    return tuple(Template(text) for text in texts)


@functools.cache
def phrases() -> dict[str, Any]:
    """Read the sentence templates by use, and by type within `mentions` and `distractors`."""
    return _parsed(facts("phrases"))


@functools.cache
def filler() -> dict[str, Any]:
    """Read the templates of text unrelated to codes, by section."""
    return _parsed(facts("filler"))


@functools.cache
def drugs() -> dict[str, Any]:
    """Read the templates of drugs: `drugs` by key, and the `common` ones."""
    table = facts("drugs")
    return {
        "common": templates(table["common"]),
        "drugs": {key: Template(text) for key, text in table["drugs"].items()},
    }


def _parsed(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _parsed(value) if isinstance(value, dict) else templates(value) for key, value in tree.items()}


@functools.cache
def odds() -> dict[str, float]:
    """Read the fitted odds factors of the papers' fifty codes, the most frequent first."""
    return facts("odds")


@functools.cache
def exclusions(code: str) -> frozenset[int]:
    """Return the numbers of the groups of mutually exclusive codes that contain a code."""
    table = _groups()
    key = "procedures" if is_procedure(code) else "exclusive"
    offset = len(table["exclusive"]) if is_procedure(code) else 0
    return frozenset(offset + n for n, group in enumerate(table[key]) if plain(code).startswith(tuple(group)))


@functools.cache
def clusters(code: str) -> frozenset[int | str]:
    """Return what must not be negated when a code is assigned: its clusters and its category."""
    numbers = {n for n, group in enumerate(_groups()["clusters"]) if plain(code).startswith(tuple(group))}
    return frozenset(numbers | {code.partition(".")[0]})


@functools.cache
def _groups() -> dict[str, list[list[str]]]:
    return facts("groups")


@functools.cache
def possible(code: str, sex: str, stage: str) -> bool:
    """Whether a rarer code may be assigned to a person of a sex at a stage: adult, pregnancy or newborn."""
    rules = _tails()["rules"]
    if is_procedure(code):
        excluded_prefixes = rules["procedures_M" if sex == "F" else "procedures_F"]
        return not plain(code).startswith(tuple(excluded_prefixes))
    bare = plain(code)
    for restricted_stage in ("pregnancy", "newborn"):
        if stage != restricted_stage and bare.startswith(tuple(rules[restricted_stage])):
            return False
    return not bare.startswith(tuple(rules["M" if sex == "F" else "F"]))


@functools.cache
def _tails() -> dict[str, Any]:
    return facts("tails")


@functools.cache
def tail(groups: tuple[str, ...], sex: str, stage: str) -> dict[bool, tuple[list[str], list[float]]]:
    """Collect the rarer codes of some groups with their cumulative weights (Zipf's law for categories and for codes).

    Returns:
        (codes, cumulative weights) of diagnoses under False and of procedures under True.
    """
    return {procedure: _zipf(groups, procedure, sex, stage) for procedure in (False, True)}


def _zipf(groups: tuple[str, ...], procedure: bool, sex: str, stage: str) -> tuple[list[str], list[float]]:
    frequent = odds()
    table = _tails()["groups"]
    codes, weights = [], []
    for group in groups:
        ranges = table[group].get("procedures" if procedure else "diagnoses", ())
        members = [m for m in _categories(procedure) if any(_within(m, bounds) for bounds in ranges)]
        for rank, category in enumerate(sorted(members, key=_scatter)):
            for place, code in enumerate(_categories(procedure)[category]):
                if code not in frequent and possible(code, sex, stage):
                    codes.append(code)
                    weights.append(1 / ((rank + 4) * (place + 1.0)))
    return codes, list(itertools.accumulate(weights))


def _scatter(text: str) -> int:
    return zlib.crc32(text.encode())


def _within(category: str, bounds: str) -> bool:
    low, _, high = bounds.partition("-")
    return low <= category <= (high or low) and len(category) == len(low)


@functools.cache
def _categories(procedure: bool) -> dict[str, list[str]]:
    """Group all codes by category, unspecified codes first, otherwise in an arbitrary but fixed order."""
    codes_of: dict[str, list[str]] = {}
    for code in terminology.icd9_descriptions():
        if is_procedure(code) is procedure:
            codes_of.setdefault(code.partition(".")[0], []).append(code)
    return {category: sorted(codes, key=_commonness) for category, codes in codes_of.items()}


def _commonness(code: str) -> tuple[bool, int]:
    # Unspecified codes are the most frequent ones of a category.
    return "nspecified" not in terminology.icd9_descriptions()[code][0], _scatter(code)
