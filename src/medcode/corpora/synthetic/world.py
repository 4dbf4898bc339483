"""Conditions of patients, and the codes assigned to them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from random import Random

from medcode import config
from medcode.corpora.synthetic import knowledge
from medcode.corpora.synthetic.grammar import Draw, pick_weighted, poisson
from medcode.corpora.synthetic.people import People, Stay, odds_adjusted
from medcode.corpora.synthetic.terminology import is_procedure

AGES = (30, 50, 65, 80)
CODED_AGAIN = 0.9  # probability that a chronic condition is coded at an admission
TAIL_DIAGNOSES, TAIL_PROCEDURES = 2.1, 0.55  # mean numbers of rarer codes; half of it for newborns


@dataclass(frozen=True, slots=True)
class Admission:
    """One admission with its ICD-9-CM codes.

    Attributes:
        diagnoses: dotted, in order of importance, the principal one first.
        procedures: dotted, likewise.
        coded: False for an admission without assigned codes; the codes then only determine the note.
        related: other codes of the profile, from which many distractors are sampled.
    """

    stay: Stay
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    coded: bool
    related: tuple[str, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes, diagnoses first."""
        return self.diagnoses + self.procedures


class _Codes(dict):
    """Sampled codes, none of them mutually exclusive."""

    def __init__(self) -> None:
        super().__init__()
        self._excluded_groups: set[int] = set()

    def add(self, code: str) -> None:
        groups = knowledge.exclusions(code)
        if code not in self and not self._excluded_groups & groups:
            self._excluded_groups |= groups
            self[code] = None


class World:
    """All admissions of one seed; `admission(k)` does not depend on their number."""

    def __init__(self, options: config.Synthesize) -> None:
        self.options = options
        self.people = People(options.seed)

    def admission(self, k: int) -> Admission:
        """Sample admission k, counted from 0."""
        stay = self.people.stay(k)
        draw = Random(f"{self.options.seed}/codes/{k}").random
        codes = _Codes()
        codes.add(pick_weighted(draw, *stay.profile.principal))
        principal = next(iter(codes))
        chronic = self._chronic_conditions(stay)
        self._add_acute(draw, stay, codes)
        for code in chronic:
            if draw() < CODED_AGAIN:
                codes.add(code)
        self._add_tail(draw, stay, codes)
        final_codes = [_combined(code, codes) for code in codes]
        diagnoses = [code for code in final_codes if not is_procedure(code)]
        # Coders list treated conditions before others, but not strictly.
        urgency = {code: draw() + 0.7 * (code in chronic) + (code[0] in "EV") for code in diagnoses}
        diagnoses.sort(key=lambda code: (code != principal, urgency[code]))
        procedures = [code for code in final_codes if is_procedure(code)]
        coded = draw() >= self.options.uncoded_share
        return Admission(stay, tuple(dict.fromkeys(diagnoses)), tuple(procedures), coded, _related(stay.profile))

    def _add_acute(self, draw: Draw, stay: Stay, codes: _Codes) -> None:
        for chance, package in stay.profile.packages:
            if draw() < chance:
                for code, share in package:
                    if draw() < share:
                        codes.add(code)
        for code, share in stay.profile.codes:
            if draw() < share and knowledge.possible(code, stay.patient.sex, stay.profile.stage):
                codes.add(code)

    def _chronic_conditions(self, stay: Stay) -> dict[str, None]:
        """Sample the chronic conditions of a patient, the same at each admission of the patient."""
        if stay.profile.stage != "adult":
            return {}
        draw = Random(f"{self.options.seed}/patient/{stay.patient.number}").random
        conditions: dict[str, None] = {}
        for code, odds, after in _chronic_odds(min(stay.age, 100) // 5 * 5, stay.patient.sex):
            for prefix, factor in after:
                if any(other.startswith(prefix) for other in conditions):
                    odds *= factor
            if draw() < odds / (1 + odds):
                conditions[code] = None
        return conditions

    def _add_tail(self, draw: Draw, stay: Stay, codes: _Codes) -> None:
        profile = stay.profile
        tail = knowledge.tail(profile.tail, stay.patient.sex, profile.stage)
        scale = 0.5 if profile.stage == "newborn" else 1.0
        for procedure, mean in ((False, TAIL_DIAGNOSES), (True, TAIL_PROCEDURES)):
            for _ in range(poisson(draw, mean * scale)):
                codes.add(pick_weighted(draw, *tail[procedure]))


@functools.cache
def _related(profile) -> tuple[str, ...]:
    codes = [code for _, package in profile.packages for code, _ in package] + [code for code, _ in profile.codes]
    return tuple(dict.fromkeys([*profile.principal[0], *codes]))


@functools.cache
def _chronic() -> dict[str, dict]:
    return knowledge.facts("chronic")


@functools.cache
def _chronic_odds(age: int, sex: str) -> list[tuple[str, float, tuple[tuple[str, float], ...]]]:
    """Return the odds of each chronic condition at an age, and factors on them for conditions sampled before."""
    odds_list = []
    for code, entry in _chronic().items():
        if entry.get("sex", sex) != sex:
            continue
        chance = odds_adjusted({code: max(_interpolated(entry["at"], age), 1e-6)})[code]
        male = entry.get("male", 1.0)
        odds = chance / (1 - chance) * (male if sex == "M" else 1 / male)
        odds_list.append((code, odds, tuple(entry.get("after", {}).items())))
    return odds_list


def _interpolated(values: list[float], age: float) -> float:
    if age <= AGES[0]:
        return values[0]
    for low, high, left, right in zip(AGES, AGES[1:], values, values[1:], strict=False):
        if age <= high:
            return left + (right - left) * (age - low) / (high - low)
    return values[-1]


def _combined(code: str, codes: _Codes) -> str:
    """Replace a code by a combined one: hypertension with kidney disease is one code."""
    for companion, combined_code in _chronic().get(code, {}).get("instead", {}).items():
        if any(assigned.startswith(companion) for assigned in codes):
            return combined_code
    return code
