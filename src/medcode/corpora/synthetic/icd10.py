"""From an admission coded in ICD-9-CM to the same admission in ICD-10-CM and ICD-10-PCS."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from medcode.corpora.synthetic import knowledge, terminology
from medcode.corpora.synthetic.grammar import Draw, pick
from medcode.corpora.synthetic.terminology import Equivalence, plain

OTHER_FORM = 0.25  # chance that a procedure is coded with another approach, device or side
EQUAL = 0.85  # targets whose titles fit at least so well, relative to the best, are drawn from alike


def diagnoses(codes: Sequence[str], draw: Draw) -> list[str]:
    """Translate dotted ICD-9-CM diagnoses by the general equivalence mappings; codes without point, no doubles.

    Of several targets those are drawn from whose title is nearest; a combination gives one code of each of its parts.
    A diagnosis without a target that is billable in 2024 is dropped.
    """
    found = [target for code in codes for part in _parts(code) for target in (pick(draw, part),)]
    return list(dict.fromkeys(found))


@functools.cache
def _parts(code: str) -> tuple[tuple[str, ...], ...]:
    rows = terminology.equivalences().get(plain(code), [])
    single = [found for found in rows if found.scenario == 0]
    if single:
        return (_nearest(code, single),)
    first = min((found.scenario for found in rows), default=0)
    choices = sorted({found.choice for found in rows if found.scenario == first})
    return tuple(_nearest(code, [r for r in rows if (r.scenario, r.choice) == (first, choice)]) for choice in choices)


def _nearest(code: str, rows: list[Equivalence]) -> tuple[str, ...]:
    exact = [found.target for found in rows if found.exact]
    if exact:
        return (exact[0],)
    source = _words(terminology.icd9_titles()[code][0])
    titles = terminology.icd10_titles("icd10cm")
    fit = {}
    for found in rows:
        target = _words(titles[found.target])
        fit[found.target] = len(source & target) / len(source | target)
    best = max(fit.values())
    return tuple(sorted(target for target, value in fit.items() if value >= EQUAL * best))


def _words(title: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", title.lower()))


def procedures(codes: Sequence[str], draw: Draw) -> list[str]:
    """Translate dotted ICD-9-CM procedures by the table written by hand; codes of ICD-10-PCS, no doubles.

    A procedure that the table lacks is dropped: ICD-10-PCS has no code for much of what volume 3 coded, and the
    official mappings offer up to thousands of targets. Now and then an operation takes another form than the typical
    one: a code with the same section, body system, operation and body part.
    """
    found = []
    for code in codes:
        typical = _typical().get(code, ())
        if typical:
            target = pick(draw, typical)
            found.append(pick(draw, _forms(target)) if draw() < OTHER_FORM else target)
    return list(dict.fromkeys(found))


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
    for code in terminology.icd10_titles("icd10pcs"):
        groups.setdefault(code[:4], []).append(code)
    return {part: tuple(sorted(codes)) for part, codes in groups.items()}
