"""Styles of de-identification: bracketed surrogates of MIMIC-III, underscores of MIMIC-IV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from medcode.corpora.synthetic.people import Stay

Slots = dict[str, str | Sequence[str]]


@dataclass(frozen=True)
class Style:
    """The de-identified parts of a note and its layout.

    Attributes:
        fixed: slots that do not depend on the admission.
        brackets: True for MIMIC-III's surrogates with dates, False for MIMIC-IV's ___.
    """

    fixed: Mapping[str, str | Sequence[str]]
    brackets: bool

    def date(self, when: datetime) -> str:
        """Write a full date."""
        return f"[**{when.year}-{when.month}-{when.day}**]" if self.brackets else "___"

    def slots(self, stay: Stay) -> Slots:
        """Collect all slots for one admission."""
        admitted, discharged, age = stay.admitted, stay.discharged, stay.age
        slots = dict(self.fixed)
        if self.brackets:
            days = max(1, (discharged - admitted).days)
            dates = [admitted + timedelta(days=days * i // 4) for i in range(5)]
            slots["date"] = tuple(f"[**{d.year}-{d.month}-{d.day}**]" for d in dates[:3]) + tuple(
                f"[**{d.month}-{d.day}**]" for d in dates
            )
            slots["year"] = tuple(f"[**{admitted.year - back}**]" for back in (1, 2, 3, 4, 6, 9, 13, 20))
        slots.update(PRONOUNS[stay.patient.sex])
        if stay.profile.stage == "newborn":
            slots["He"] = (slots["He"][0], "The infant", "Baby")
            slots["person"] = "boy" if stay.patient.sex == "M" else "girl"
        slots["age"] = str(age) if age < 90 else "[**Age over 90 **]" if self.brackets else "___"
        return slots


PRONOUNS: dict[str, Slots] = {
    "M": {"he": "he", "He": ("He", "He", "Patient", "Pt", "The patient"), "his": "his", "His": "His", "him": "him",
          "person": ("man", "male", "gentleman"), "sex": ("M", "male"), "title": "Mr."},
    "F": {"he": "she", "He": ("She", "She", "Patient", "Pt", "The patient"), "his": "her", "His": "Her", "him": "her",
          "person": ("woman", "female", "lady"), "sex": ("F", "female"), "title": "Ms."},
}  # fmt: skip

NUMBERS = tuple(str(3 + i * 7919 % 9973) for i in range(120))

MIMIC3 = Style(
    {
        "doctor": tuple(
            f"[**{name_type} {number}**]"
            for number in NUMBERS
            for name_type in ("Last Name (NamePattern1)", "First Name8 (NamePattern2)", "Doctor Last Name")
        ),
        "patient": tuple(f"[**Known lastname {number}**]" for number in NUMBERS),
        "name": tuple(f"[**Name (NI) {number}**]" for number in NUMBERS),
        "hospital": tuple(f"[**Hospital{i} {number}**]" for number in NUMBERS[:30] for i in (1, 2, 3)),
        "phone": tuple(f"[**Telephone/Fax (1) {number}**]" for number in NUMBERS),
        "code": tuple(f"[**Numeric Identifier {number}**]" for number in NUMBERS[:40]),
        "years": ("two", "three", "five", "eight", "ten", "several", "[**1-15**]"),
    },
    brackets=True,
)
MIMIC4 = Style(
    dict.fromkeys(("doctor", "patient", "name", "hospital", "phone", "code", "date", "year"), ("___",))
    | {"years": ("two", "three", "five", "eight", "ten", "several", "___")},
    brackets=False,
)
