"""Translation of ICD-9-CM codes of an admission to ICD-10-CM and ICD-10-PCS."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from medcode.corpora.synthetic import knowledge, terminology
from medcode.corpora.synthetic.grammar import Draw, pick
from medcode.corpora.synthetic.terminology import Equivalence, plain

OTHER_FORM = 0.25  # probability that a procedure is coded with another approach, device or side
EQUAL = 0.85  # minimum description similarity of eligible targets, relative to the best


def diagnoses(codes: Sequence[str], draw: Draw) -> dict[str, list[str]]:
    """Translate dotted ICD-9-CM diagnoses by the general equivalence mappings: {code: codes without points}.

    Of several targets, one with the most similar description is sampled; a combination gives one code for each of its
    parts.
    A diagnosis without a target that is billable in 2024 has none.
    """
    return {code: [pick(draw, part) for part in _parts(code)] for code in codes}


@functools.cache
def _parts(code: str) -> tuple[tuple[str, ...], ...]:
    rows = terminology.equivalences().get(plain(code), [])
    single_rows = [row for row in rows if row.scenario == 0]
    if single_rows:
        return (_nearest(code, single_rows),)
    first_scenario = min((row.scenario for row in rows), default=0)
    choices = sorted({row.choice for row in rows if row.scenario == first_scenario})
    return tuple(
        _nearest(code, [r for r in rows if (r.scenario, r.choice) == (first_scenario, choice)]) for choice in choices
    )


def _nearest(code: str, rows: list[Equivalence]) -> tuple[str, ...]:
    exact_targets = [row.target for row in rows if row.exact]
    if exact_targets:
        return (exact_targets[0],)
    source = _words(terminology.icd9_descriptions()[code][0])
    descriptions = terminology.icd10_descriptions("icd10cm")
    similarity = {}
    for row in rows:
        target = _words(descriptions[row.target])
        similarity[row.target] = len(source & target) / len(source | target)
    best = max(similarity.values())
    return tuple(sorted(target for target, value in similarity.items() if value >= EQUAL * best))


def _words(description: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", description.lower()))


def procedures(codes: Sequence[str], draw: Draw) -> dict[str, list[str]]:
    """Translate dotted ICD-9-CM procedures by the hand-written table: {code: ICD-10-PCS codes}.

    A procedure that is not in the table has none: many procedures of volume 3 have no ICD-10-PCS code, and the
    official mappings offer up to thousands of targets. Some operations are coded in an atypical form: a code with the
    same section, body system, operation and body part.
    """
    targets: dict[str, list[str]] = {}
    for code in codes:
        typical = _typical().get(code, ())
        if typical:
            target = pick(draw, typical)
            targets[code] = [pick(draw, _forms(target)) if draw() < OTHER_FORM else target]
    return targets


@functools.cache
def _typical() -> dict[str, tuple[str, ...]]:
    return {code: tuple(entry["pcs"]) for code, entry in knowledge.facts("procedures").items()}


@functools.cache
def _forms(code: str) -> tuple[str, ...]:
    if not code.startswith("0"):  # the section of medical and surgical procedures
        return (code,)
    return _by_part()[code[:4]][:12]


@functools.cache
def _by_part() -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for code in terminology.icd10_descriptions("icd10pcs"):
        groups.setdefault(code[:4], []).append(code)
    return {part: tuple(sorted(codes)) for part, codes in groups.items()}
