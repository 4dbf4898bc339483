"""Patients and their stays in hospital, without codes.

Admissions are sampled in blocks of 64 that depend only on the seed and the number of the block. So admission k does not
depend on the size of the corpus, and readmissions are scattered as in MIMIC.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from medcode.corpora.synthetic import knowledge
from medcode.corpora.synthetic.grammar import Draw, pick_weighted

BLOCK = 64
STAYS = ((1, 2, 3, 4, 6), (0.82, 0.94, 0.975, 0.993, 1.0))  # admissions per patient, cumulative shares
SAME_PROFILE = 0.5  # of readmissions


@dataclass(frozen=True, slots=True)
class Profile:
    """A reason for admission, prepared for sampling (see facts/profiles.yaml)."""

    name: str
    age: tuple[float, float, float, float]
    male: float
    days: float
    death: float
    elective: float
    service: str
    principal: tuple[tuple[str, ...], tuple[float, ...]]
    packages: tuple[tuple[float, tuple[tuple[str, float], ...]], ...]
    codes: tuple[tuple[str, float], ...]
    tail: tuple[str, ...]
    complaint: tuple[str, ...]
    story: tuple
    course: tuple

    @property
    def stage(self) -> str:
        """Stage of life of the patients: `newborn`, `pregnancy` or `adult`."""
        return self.tail[0] if self.tail[0] in ("newborn", "pregnancy") else "adult"


@dataclass(frozen=True, slots=True)
class Patient:
    """A person; `number` is unique and `born` the true date of birth."""

    number: int
    sex: str
    born: datetime
    died: datetime | None
    chance: float  # a uniform number that decides, for example, on the coding system


@dataclass(frozen=True, slots=True)
class Stay:
    """Admission k: patient, reason and dates; `order` counts the admissions of the patient from 0."""

    k: int
    patient: Patient
    profile: Profile
    age: int
    admitted: datetime
    discharged: datetime
    died: bool
    elective: bool
    order: int

    @property
    def length(self) -> timedelta:
        """Length of stay."""
        return self.discharged - self.admitted


@functools.cache
def profiles() -> tuple[tuple[Profile, ...], tuple[float, ...]]:
    """Read the profiles, and their cumulative weights."""
    packages = {name: tuple(odds_adjusted(codes).items()) for name, codes in knowledge.facts("packages").items()}
    all_profiles, weights = [], []
    for name, entry in knowledge.facts("profiles").items():
        weights.append(entry.pop("weight"))
        principal = entry.pop("principal")
        all_profiles.append(
            Profile(
                name=name,
                age=tuple(entry.pop("age")),
                elective=entry.pop("elective", 0.08),
                principal=(tuple(principal), tuple(itertools.accumulate(principal.values()))),
                packages=tuple((chance, packages[package]) for package, chance in entry.pop("packages").items()),
                codes=tuple(odds_adjusted(entry.pop("codes")).items()),
                tail=tuple(entry.pop("tail")),
                complaint=tuple(entry.pop("complaint")),
                story=knowledge.templates(entry.pop("story")),
                course=knowledge.templates(entry.pop("course")),
                **entry,
            )
        )
    return tuple(all_profiles), tuple(itertools.accumulate(weights))


def odds_adjusted(chances: dict[str, float]) -> dict[str, float]:
    """Multiply the odds of the most frequent codes by their fitted factors (see facts/odds.yaml)."""
    odds = knowledge.odds()
    return {
        code: chance * odds.get(code, 1) / (1 - chance + chance * odds.get(code, 1)) for code, chance in chances.items()
    }


def normal(draw: Draw) -> float:
    """Sample a standard normal number."""
    return math.sqrt(-2 * math.log(1 - draw())) * math.cos(2 * math.pi * draw())


class People:
    """All stays of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._number, self._block = -1, []

    def stay(self, k: int) -> Stay:
        """Return admission k, counted from 0."""
        number, place = divmod(k, BLOCK)
        if number != self._number:
            self._number, self._block = number, self._plan(number)
        return self._block[place]

    def _plan(self, number: int) -> list[Stay]:
        draw = Random(f"{self.seed}/block/{number}").random
        sizes: list[int] = []
        while sum(sizes) < BLOCK:
            sizes.append(min(pick_weighted(draw, *STAYS), BLOCK - sum(sizes)))
        places = list(range(BLOCK))
        for i in range(BLOCK - 1, 0, -1):
            j = int(draw() * (i + 1))
            places[i], places[j] = places[j], places[i]
        block: list[Stay] = [None] * BLOCK
        for index, size in enumerate(sizes):
            patient_places = sorted(places[:size])
            del places[:size]
            for stay in _stays(draw, number * BLOCK + index, [number * BLOCK + place for place in patient_places]):
                block[stay.k % BLOCK] = stay
        return block


def _stays(draw: Draw, number: int, admissions: list[int]) -> list[Stay]:
    """Sample a patient with these admissions, in chronological order."""
    first_profile = pick_weighted(draw, *profiles())
    while first_profile.stage == "newborn" and len(admissions) > 1:
        first_profile = pick_weighted(draw, *profiles())
    sex = "M" if draw() < first_profile.male else "F"
    mean, deviation, minimum, maximum = first_profile.age
    age = min(max(mean + deviation * normal(draw), minimum), maximum)
    admitted = datetime(2100, 1, 1) + timedelta(minutes=int(draw() * 95 * 525_600))
    born = admitted if first_profile.stage == "newborn" else admitted - timedelta(days=int(age * 365.25) + 1)
    born = born.replace(hour=0, minute=0)
    stays = []
    for order, k in enumerate(admissions):
        profile = first_profile if order == 0 else _next_profile(draw, first_profile, sex)
        days = max(0.6, profile.days * (0.25 + 0.75 * -math.log(1 - draw())))
        discharged = admitted + timedelta(minutes=int(min(days, 12 * profile.days) * 1440))
        died = k == admissions[-1] and draw() < profile.death
        years = int((admitted - born).days / 365.25)
        stays.append((k, profile, years, admitted, discharged, died, draw() < profile.elective, order))
        admitted = discharged + timedelta(minutes=int((5 - 300 * math.log(1 - draw())) * 1440))
    died = stays[-1][4] if stays[-1][5] else None
    patient = Patient(number, sex, born, died, draw())
    return [Stay(k, patient, *fields) for k, *fields in stays]


def _next_profile(draw: Draw, first: Profile, sex: str) -> Profile:
    """Sample the profile of a readmission: the same one, or a compatible other."""
    if draw() < SAME_PROFILE:
        return first
    while True:
        profile = pick_weighted(draw, *profiles())
        fits = profile.stage == "adult" and abs(profile.age[0] - first.age[0]) < 25
        if fits and (profile.male if sex == "M" else 1 - profile.male) > 0:
            return profile
