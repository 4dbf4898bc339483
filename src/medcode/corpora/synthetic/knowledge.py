"""The facts that the corpus is made from, read from the YAML files of `facts` and made ready for drawing."""

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
    """How one code shows in a note: its names, and sentences and drugs that show it without naming it."""

    kind: str
    names: tuple[str, ...]
    course: tuple[Template, ...] = ()
    results: tuple[Template, ...] = ()
    social: tuple[Template, ...] = ()
    drugs: tuple[str, ...] = ()
    family: bool = False

    @property
    def has_evidence(self) -> bool:
        """Whether it can show without being named."""
        return bool(self.course or self.results or self.social)


CHRONIC = ("24", "25", "26", "27", "29", "30", "31", "39", "40", "41", "42", "49", "71", "72", "73")


@functools.cache
def concepts() -> dict[str, Concept]:
    """Read the hand-written concepts, by dotted code."""
    written = facts("diagnoses") | {code: {"kind": "procedure"} | entry for code, entry in facts("procedures").items()}
    return {
        code: Concept(
            entry["kind"],
            tuple(entry["names"]),
            *(templates(entry.get(key, ())) for key in ("course", "results", "social")),
            tuple(entry.get("drugs", ())),
            entry.get("family", False),
        )
        for code, entry in written.items()
    }


@functools.cache
def concept(code: str) -> Concept:
    """Gives the concept of any code, derived from its title where none is written by hand."""
    return concepts().get(code) or Concept(_kind(code), tuple(_names(terminology.icd9_titles()[code][0])))


def _kind(code: str) -> str:
    if is_procedure(code):
        return "procedure"
    if code[0] in "EV":
        return {"E": "external", "V": "history"}[code[0]]
    return "chronic" if code.startswith(CHRONIC) else "acute"


@functools.cache
def _shortening() -> tuple[re.Pattern, dict[str, str]]:
    table = facts("abbreviations")
    return re.compile("|".join(map(re.escape, table["drop"])), re.IGNORECASE), table["words"]


def _names(title: str) -> list[str]:
    return terminology.variants(title, *_shortening())


def templates(texts: Any) -> tuple[Template, ...]:
    """Parse a list of templates."""
    return tuple(Template(text) for text in texts)


@functools.cache
def phrases() -> dict[str, Any]:
    """Read the sentence patterns: templates by use, and by kind within `mentions` and `distractors`."""
    return _parsed(facts("phrases"))


@functools.cache
def filler() -> dict[str, Any]:
    """Read the text that says nothing of codes, templates by section."""
    return _parsed(facts("filler"))


@functools.cache
def drugs() -> dict[str, Any]:
    """Read how drugs are written: `drugs` by key, and the `common` ones."""
    table = facts("drugs")
    return {
        "common": templates(table["common"]),
        "drugs": {key: Template(text) for key, text in table["drugs"].items()},
    }


def _parsed(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _parsed(value) if isinstance(value, dict) else templates(value) for key, value in tree.items()}


@functools.cache
def odds() -> dict[str, float]:
    """Read the fitted factors on the odds of the papers' fifty codes, the most frequent first."""
    return facts("odds")


@functools.cache
def exclusions(code: str) -> frozenset[int]:
    """Number the groups of mutually exclusive codes that a code belongs to."""
    table = _groups()
    kind = "procedures" if is_procedure(code) else "exclusive"
    offset = len(table["exclusive"]) if is_procedure(code) else 0
    return frozenset(offset + n for n, group in enumerate(table[kind]) if plain(code).startswith(tuple(group)))


@functools.cache
def clusters(code: str) -> frozenset[int | str]:
    """Name the things that must not be denied when a code is assigned: its clusters and its own category."""
    found = {n for n, group in enumerate(_groups()["clusters"]) if plain(code).startswith(tuple(group))}
    return frozenset(found | {code.partition(".")[0]})


@functools.cache
def _groups() -> dict[str, list[list[str]]]:
    return facts("groups")


@functools.cache
def possible(code: str, sex: str, stage: str) -> bool:
    """Tells whether a rarer code may be given to a person of a sex at a stage: adult, pregnancy or newborn."""
    rules = _tails()["rules"]
    if is_procedure(code):
        other = rules["procedures_M" if sex == "F" else "procedures_F"]
        return not plain(code).startswith(tuple(other))
    bare = plain(code)
    for only in ("pregnancy", "newborn"):
        if stage != only and bare.startswith(tuple(rules[only])):
            return False
    return not bare.startswith(tuple(rules["M" if sex == "F" else "F"]))


@functools.cache
def _tails() -> dict[str, Any]:
    return facts("tails")


@functools.cache
def tail(groups: tuple[str, ...], sex: str, stage: str) -> dict[bool, tuple[list[str], list[float]]]:
    """Collect the rarer codes of some groups with the running sums of their weights (Zipf's law twice over).

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
    """Group all codes by category, the unspecified codes first and otherwise in an arbitrary but fixed order."""
    found: dict[str, list[str]] = {}
    for code in terminology.icd9_titles():
        if is_procedure(code) is procedure:
            found.setdefault(code.partition(".")[0], []).append(code)
    return {category: sorted(codes, key=_commonness) for category, codes in found.items()}


def _commonness(code: str) -> tuple[bool, int]:
    # Coders use the unspecified codes of a category most.
    return "nspecified" not in terminology.icd9_titles()[code][0], _scatter(code)
