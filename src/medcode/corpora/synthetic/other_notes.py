"""Nursing, radiology and other notes: many, short, and uninformative about the codes."""

from __future__ import annotations

import itertools
from random import Random

from medcode import config
from medcode.corpora.synthetic import knowledge
from medcode.corpora.synthetic.grammar import Deck, pick, pick_weighted
from medcode.corpora.synthetic.styles import Style
from medcode.corpora.synthetic.world import Admission

# Categories as MIMIC-III spells them, some with a trailing blank, and thousands of notes in each.
CATEGORIES = {
    "Nursing/other": 822.5, "Radiology": 522.3, "Nursing": 223.6, "ECG": 209.1, "Physician ": 141.6, "Echo": 45.8,
    "Respiratory ": 31.7, "Nutrition": 9.4, "General": 8.3, "Rehab Services": 5.4, "Social Work": 2.7,
    "Case Management ": 1.0, "Pharmacy": 0.1, "Consult": 0.1,
}  # fmt: skip
DESCRIPTIONS = {
    "Radiology": ("CHEST (PORTABLE AP)", "CT HEAD W/O CONTRAST", "CHEST (PA & LAT)", "ABDOMEN (SUPINE ONLY)"),
    "Nursing": ("Nursing Progress Note", "Generic Note", "Nursing Transfer Note"),
    "Physician ": ("Physician Resident Progress Note", "Intensivist Note", "ICU Note - CVI"),
    "Respiratory ": ("Respiratory Care Shift Note",),
    "Nutrition": ("Clinical Nutrition Note",),
}
RELATIVE_LENGTH = 1 / 7  # to a discharge summary
_NAMES = tuple(CATEGORIES)
_CUMULATIVE = tuple(itertools.accumulate(CATEGORIES.values()))


class OtherNotes:
    """Writer of the notes of an admission other than its discharge summary."""

    def __init__(self, options: config.Synthesize, style: Style) -> None:
        self.options, self.style = options, style
        self._length = options.mean_words * RELATIVE_LENGTH
        self._templates = knowledge.filler()["other_notes"]
        self._k, self._draw, self._slots = -1, None, {}

    def note(self, admission: Admission, number: int) -> tuple[str, str, str]:
        """Write one note.

        Args:
            number: 0, 1, ... within the admission, in this order.

        Returns:
            Category, description and text.
        """
        stay = admission.stay
        if number == 0 or self._k != stay.k:
            self._k, self._draw = stay.k, Random(f"{self.options.seed}/other/{stay.k}").random
            self._slots = self.style.slots(stay)
        draw, slots = self._draw, self._slots
        category = pick_weighted(draw, _NAMES, _CUMULATIVE)
        pool = "Nursing/other" if category == "Nursing" else category
        templates = self._templates.get(pool, self._templates["other"])
        target = self._length * (0.4 + 1.2 * draw())
        lines = [line.write(draw, slots) for line in templates["head"]]
        words = sum(line.words for line in templates["head"])
        if category == "Physician " and admission.codes:
            name = pick(draw, knowledge.concept(pick(draw, admission.codes)).names)
            lines.append(f"{slots['age']} y/o with {name}.")
        deck = Deck(draw, templates["body"])
        while words < target:
            template = deck.next()
            if template is None:
                deck = Deck(draw, templates["body"])
                continue
            lines.append(template.write(draw, slots))
            words += template.words
        lines.append(pick(draw, templates["tail"]).write(draw, slots))
        return category, pick(draw, DESCRIPTIONS.get(category, ("Report",))), "\n".join(lines) + "\n"
