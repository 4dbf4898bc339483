"""Discharge summaries of admissions: evidence for their codes, distractors, and filler."""

from __future__ import annotations

import functools
import itertools
import math
from random import Random
from typing import NamedTuple

from medcode import config
from medcode.corpora.synthetic import knowledge, layout, marks
from medcode.corpora.synthetic.grammar import Deck, Draw, Template, pick, pick_weighted, poisson
from medcode.corpora.synthetic.people import normal
from medcode.corpora.synthetic.styles import Slots, Style
from medcode.corpora.synthetic.terminology import is_procedure
from medcode.corpora.synthetic.world import Admission

IMPLICIT = 0.22  # share of the codes with hand-written evidence that are expressed by it alone
SPREAD = 0.35  # standard deviation of the log of note lengths
RELATED = 0.35  # share of distractors from the same profile; the others are from the papers' codes
DISTRACTORS = {"negated": 30, "ruled_out": 15, "family": 14, "past": 13, "risk": 14, "uncoded": 14}
PLACES = {  # section of a distractor
    "negated": ("hpi", "course", "results"), "ruled_out": ("course", "hpi"), "family": ("family",), "past": ("past",),
    "risk": ("instructions", "followup"), "uncoded": ("past", "diagnosis", "past"),
}  # fmt: skip
# Sections that take filler, with weights.
FILLER = {"hpi": 12, "social": 4, "family": 2, "exam": 20, "labs": 16, "results": 8, "course": 20, "instructions": 14,
          "followup": 6, "drugs": 8}  # fmt: skip


class Summary(NamedTuple):
    """The texts of the discharge summary of an admission, and the ground truth about its codes.

    A text has the spans of the names of codes, and of sentences that imply them. Drugs are in no span: they imply
    several codes, and other text names them too.

    Attributes:
        report: the report.
        addendum: a later note with part of the hospital course, or None.
        interim: an earlier report with part of the hospital course, or None.
        unmentioned: codes for which nothing was written but, for some, their name in the opening sentence.
        distractors: (type, code) of conditions that are mentioned but not assigned.
    """

    report: layout.Text
    addendum: layout.Text | None
    interim: layout.Text | None
    unmentioned: tuple[str, ...]
    distractors: tuple[tuple[str, str], ...]


class Notes:
    """Writer of discharge summaries in one style of de-identification."""

    def __init__(self, options: config.Synthesize, style: Style) -> None:
        self.options = options
        self.style = style
        # Short notes mention each code once, long ones repeat mentions.
        self.repeats = min(0.75, 0.3 * options.mean_words / 450)

    def summary(self, admission: Admission, supplements: bool = True) -> Summary:
        """Write the discharge summary of an admission.

        Args:
            supplements: whether part of it may be moved to an addendum or an interim report.
        """
        draw = Random(f"{self.options.seed}/note/{admission.stay.k}").random
        return _Draft(self, admission, draw).finish(supplements)


class _Draft:
    """An unfinished summary: its sections, current word count, and optional sentences."""

    def __init__(self, notes: Notes, admission: Admission, draw: Draw) -> None:
        self.notes, self.options, self.admission, self.draw = notes, notes.options, admission, draw
        stay = admission.stay
        self.slots: Slots = notes.style.slots(stay)
        self.sections: dict[str, list[str]] = {name: [] for name in layout.SECTIONS}
        self.extras: list[tuple[str, Template, str, str]] = []  # section, template, name, code
        self.words = layout.FIXED_WORDS
        self.unmentioned: list[str] = []
        self.distractors: list[tuple[str, str]] = []

    def finish(self, supplements: bool) -> Summary:
        """Complete the draft to its target length, and lay it out."""
        mean = self.options.mean_words
        target = mean * math.exp(SPREAD * normal(self.draw) - SPREAD * SPREAD / 2)
        self._write_opening()
        for code in self.admission.codes:
            self._express(code)
        for _ in range(poisson(self.draw, self.options.distractor_rate)):
            self._distract()
        self._add_story(target)
        self._fill(target)
        return Summary(
            *layout.lay_out(
                self.notes.style, self.admission, self.sections, self.slots, self.draw, self.options, supplements
            ),
            tuple(self.unmentioned),
            tuple(self.distractors),
        )

    def _add(self, section: str, template: Template, name: str = "", code: str = "") -> None:
        """Add a sentence: the name in it, or all of it if it has none, is evidence of the code."""
        if name:
            for slot, form in (("name", name), ("Name", name[0].upper() + name[1:])):
                self.slots[slot] = marks.marked(form, code) if code else form
            self.words += _name_words(name)
        sentence = template.write(self.draw, self.slots)
        self.sections[section].append(marks.marked(sentence, code) if code and not name else sentence)
        self.words += template.words

    def _write_opening(self) -> None:
        """Write the complaint and the opening sentence."""
        draw, profile = self.draw, self.admission.stay.profile
        phrases = knowledge.phrases()
        self.slots["complaint"] = complaint = pick(draw, profile.complaint)
        self.sections["complaint"].append(complaint)
        chronic_codes = [c for c in self.admission.diagnoses[1:] if knowledge.concept(c).concept_type == "chronic"]
        if profile.stage == "newborn":
            opening = "opening_newborn"
        elif chronic_codes and draw() < 0.45:
            background_codes = chronic_codes[: 1 + int(draw() * 3)]
            names = [pick(draw, knowledge.concept(code).names) for code in background_codes]
            self.slots["background"] = ", ".join(map(marks.marked, names, background_codes))
            self.words += sum(map(_name_words, names))
            opening = "opening"
        else:
            opening = "opening_plain"
        self._add("hpi", pick(draw, phrases[opening]))
        self.words += 2 * _name_words(complaint)

    def _express(self, code: str) -> None:
        """Express one code: by name, by evidence, or not at all."""
        draw, concept = self.draw, knowledge.concept(code)
        chance = draw()
        if chance < self.options.unmentioned_share:
            self.unmentioned.append(code)
            return
        if concept.drugs and draw() < 0.65:
            self.extras.append(("drugs", knowledge.drugs()["drugs"][pick(draw, concept.drugs)], "", ""))
        if concept.has_evidence and draw() < IMPLICIT:
            self._add(*_evidence(draw, concept), code=code)
            return
        name = pick(draw, concept.names)
        principal = code == self.admission.diagnoses[0]
        self._add(*_mention(draw, "principal" if principal else concept.concept_type), name, code)
        if draw() < self.notes.repeats:
            self.extras.append((*_mention(draw, concept.concept_type), pick(draw, concept.names), code))
        if concept.has_evidence and draw() < self.notes.repeats:
            self.extras.append((*_evidence(draw, concept), "", code))

    def _distract(self) -> None:
        """Add a distractor: a mention of a condition that is not assigned."""
        draw, phrases = self.draw, knowledge.phrases()
        code = self._unassigned()
        if code is None:
            return
        concept = knowledge.concept(code)
        if is_procedure(code):
            distractor_type, section = "procedure", pick(draw, ("course", "hpi"))
            choices = phrases["procedure_distractors"]
        else:
            distractor_type = pick_weighted(draw, *_distractor_types())
            if distractor_type == "family" and not concept.family:
                distractor_type = "negated"
            section, choices = pick(draw, PLACES[distractor_type]), phrases["distractors"][distractor_type]
        self.distractors.append((distractor_type, code))
        self._add(section, pick(draw, choices), pick(draw, concept.names))

    def _unassigned(self) -> str | None:
        """Sample a code that contradicts no assigned code when negated; rarely None, when sampling fails."""
        draw, stay = self.draw, self.admission.stay
        assigned = frozenset().union(*map(knowledge.clusters, self.admission.codes))
        for _ in range(12):
            from_profile = stay.profile.stage == "newborn" or draw() < RELATED
            code = pick(draw, self.admission.related) if from_profile else pick_weighted(draw, *_common())
            is_possible = knowledge.possible(code, stay.patient.sex, stay.profile.stage)
            if is_possible and not assigned & knowledge.clusters(code):
                return code
        return None

    def _add_story(self, target: float) -> None:
        """Add the story of the profile and repeated mentions up to the target length."""
        draw, profile = self.draw, self.admission.stay.profile
        story = [("hpi", pick(draw, profile.story), "", ""), ("course", pick(draw, profile.course), "", "")]
        for section, template, name, code in (*story, *self.extras):
            if self.words > target - 15:
                break
            self._add(section, template, name, code)

    def _fill(self, target: float) -> None:
        """Add text unrelated to the codes: each sentence once, laboratory results as often as needed."""
        draw, decks = self.draw, {}
        newborn = self.admission.stay.profile.stage == "newborn"
        pools, keys, cumulative = _filler(newborn)
        while self.words < target:
            section = pick_weighted(draw, keys, cumulative)
            deck = decks.get(section)
            if deck is None:
                deck = decks[section] = Deck(draw, pools[section], ordered=section == "exam")
            template = deck.next()
            if template is None:
                section, template = "labs", pick(draw, pools["labs"])
            self._add(section, template)


def _mention(draw: Draw, concept_type: str) -> tuple[str, Template]:
    """Sample section and template of a mention of a code of some concept type."""
    phrases = knowledge.phrases()["mentions"]
    section, use = pick(draw, _WAYS[concept_type])
    return section, pick(draw, phrases[use])


_WAYS = {
    "chronic": (("past", "past"),) * 6 + (("diagnosis", "diagnosis"),) * 2 + (("course", "chronic"), ("hpi", "hpi")),
    "history": (("past", "past"),) * 6 + (("hpi", "hpi"), ("diagnosis", "diagnosis")),
    "habit": (("social", "social"),) * 5 + (("past", "past"),) * 3,
    "acute": (("course", "course"),) * 5 + (("diagnosis", "diagnosis"),) * 4 + (("hpi", "present"),),
    "procedure": (("procedures", "procedure"),) * 5 + (("course", "performed"),) * 4,
    "external": (("hpi", "cause"),) * 3 + (("diagnosis", "diagnosis"),),
    "principal": (("diagnosis", "principal"),),
}


def _evidence(draw: Draw, concept: knowledge.Concept) -> tuple[str, Template]:
    """Sample section and template of a sentence that implies a code without naming it."""
    options = [(section, getattr(concept, section)) for section in ("course", "results", "social")]
    section, sentences = pick(draw, [option for option in options if option[1]])
    return section, pick(draw, sentences)


@functools.cache
def _name_words(name: str) -> int:
    return len(name.split())


@functools.cache
def _filler(newborn: bool) -> tuple[dict, tuple[str, ...], tuple[float, ...]]:
    """Return the filler by section, the sections, and their cumulative weights."""
    pools = knowledge.filler() | {"drugs": knowledge.drugs()["common"]}
    if newborn:
        pools = knowledge.filler()["newborn"] | {"labs": pools["labs"]}
    weights = {section: weight for section, weight in FILLER.items() if section in pools}
    return pools, tuple(weights), tuple(itertools.accumulate(weights.values()))


@functools.cache
def _distractor_types() -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(DISTRACTORS), tuple(itertools.accumulate(DISTRACTORS.values()))


@functools.cache
def _common() -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the codes of the papers and their cumulative weights, frequent codes first."""
    codes = tuple(knowledge.odds())
    return codes, tuple(itertools.accumulate(1 / (rank + 15) for rank in range(len(codes))))
