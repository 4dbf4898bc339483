"""Layout of discharge summaries in the style of MIMIC-III or MIMIC-IV, with line breaks and typing errors."""

from __future__ import annotations

from typing import NamedTuple

from medcode import config
from medcode.corpora.synthetic import knowledge, marks
from medcode.corpora.synthetic.grammar import Draw, pick, poisson
from medcode.corpora.synthetic.people import Stay
from medcode.corpora.synthetic.styles import Slots, Style
from medcode.corpora.synthetic.world import Admission

SECTIONS = {  # key: heading, and separator of its lines ("": a numbered list)
    "complaint": ("Chief Complaint", "\n"),
    "procedures": ("Major Surgical or Invasive Procedure", "\n"),
    "hpi": ("History of Present Illness", " "),
    "past": ("Past Medical History", "\n"),
    "social": ("Social History", " "),
    "family": ("Family History", " "),
    "exam": ("Physical Exam", "\n"),
    "labs": ("Pertinent Results", "\n"),
    "results": ("Imaging and Studies", "\n"),
    "course": ("Brief Hospital Course", " "),
    "home_drugs": ("Medications on Admission", "\n"),
    "drugs": ("Discharge Medications", ""),
    "disposition": ("Discharge Disposition", "\n"),
    "diagnosis": ("Discharge Diagnosis", "\n"),
    "condition": ("Discharge Condition", "\n"),
    "instructions": ("Discharge Instructions", " "),
    "followup": ("Followup Instructions", "\n"),
}
FIXED_WORDS = 75  # words of headings and of text common to all notes
WIDTH = 78
ADDENDUM, INTERIM = 0.07, 0.03  # shares of admissions with such an additional note


class Text(NamedTuple):
    """A finished text, and the places in it that are evidence of codes."""

    text: str
    spans: tuple[marks.Span, ...]


def lay_out(
    style: Style,
    admission: Admission,
    sections: dict[str, list[str]],
    slots: Slots,
    draw: Draw,
    options: config.Synthesize,
    supplements: bool,
) -> tuple[Text, Text | None, Text | None]:
    """Assemble the sections of a note, in which evidence is marked.

    Returns:
        The report, an addendum and an interim report. The latter two are None unless part of the hospital course was
        moved there.
    """
    phrases, stay = knowledge.phrases(), admission.stay
    _complete(sections, phrases, slots, draw, stay)
    course = sections["course"]
    chance = draw() if supplements else 1.0
    addendum = interim = None
    if chance < ADDENDUM + INTERIM and len(course) > 3:
        moved_sentences = [course.pop() for _ in range(1 + int(draw() * (len(course) // 2)))]
        if chance < ADDENDUM:
            addendum = f"ADDENDUM:\n{' '.join(moved_sentences)}\n"
        else:
            interim = f"Interim summary, hospital course to date:\n{' '.join(moved_sentences)}\n"
    body = []
    for key, (heading, joint) in SECTIONS.items():
        lines = sections[key]
        if lines:
            text = joint.join(lines) if joint else "\n".join(f"{i + 1}. {line}" for i, line in enumerate(lines))
            if key == "course":
                text = text.replace(" # ", "\n\n# ")
            body.append(f"{heading}:\n{text}\n")
    closing = pick(draw, phrases["closing"]).write(draw, slots)
    body.append(closing if style.brackets else "")
    head = _header(style, admission, slots, draw)
    texts = ["\n".join(body), addendum, interim]
    return tuple(text and _finished(text, head, draw, options.misspelling_rate) for text in texts)


def _finished(text: str, head: str, draw: Draw, misspelling_rate: float) -> Text:
    text, spans = _misspelled(*marks.unmarked(text), draw, misspelling_rate)
    offset = len(head) + 1
    # Wrapping replaces blanks by line breaks, so it moves nothing.
    return Text(f"{head}\n{wrapped(text)}", tuple(span.moved(offset, offset) for span in spans))


def _complete(sections: dict[str, list[str]], phrases: dict, slots: Slots, draw: Draw, stay: Stay) -> None:
    """Shuffle unordered sections, and write the parts common to all summaries."""

    def sentence(key: str) -> str:
        return pick(draw, phrases[key]).write(draw, slots)

    for key in ("past", "course", "results", "drugs", "procedures", "family", "social"):
        _shuffle(draw, sections[key])
    principal, *secondary = sections["diagnosis"] or [""]
    _shuffle(draw, secondary)
    sections["diagnosis"] = [line for line in (principal, *secondary) if line]
    sections["past"] = sections["past"] or [sentence("plain_history")]
    sections["procedures"] = sections["procedures"] or [sentence("no_procedure")]
    drugs = list(dict.fromkeys(sections["drugs"]))
    n_home_drugs = int(len(drugs) * 0.4)
    sections["home_drugs"] = drugs[:n_home_drugs] or ["None"]
    sections["drugs"] = [] if stay.died else drugs[n_home_drugs // 2 :]
    if stay.died:
        sections["disposition"], sections["condition"] = [sentence("died")], [sentence("died")]
        sections["instructions"], sections["followup"] = sections["instructions"][:1], []
    else:
        is_newborn = stay.profile.stage == "newborn"
        sections["condition"] = [sentence("condition_newborn" if is_newborn else "condition")]
        sections["disposition"] = ["Home"] if is_newborn else [sentence("disposition")]
        if not is_newborn and draw() < 0.3:
            sections["disposition"] += ["", "Facility:", sentence("facility")]


def _shuffle(draw: Draw, lines: list[str]) -> None:
    for i in range(len(lines) - 1, 0, -1):
        j = int(draw() * (i + 1))
        lines[i], lines[j] = lines[j], lines[i]


def _header(style: Style, admission: Admission, slots: Slots, draw: Draw) -> str:
    stay = admission.stay
    admitted, discharged = style.date(stay.admitted), style.date(stay.discharged)
    born, sex = style.date(stay.patient.born), stay.patient.sex
    doctor, allergies = (pick(draw, slots["doctor"]), pick(draw, knowledge.phrases()["allergies"]).head)
    if stay.profile.stage == "newborn":
        allergies = "Patient recorded as having No Known Allergies to Drugs"
    if style.brackets:
        return (
            f"Admission Date:  {admitted}              Discharge Date:   {discharged}\n\n"
            f"Date of Birth:  {born}             Sex:   {sex}\n\n"
            f"Service: {stay.profile.service}\n\nAllergies:\n{allergies}\n\nAttending:{doctor}\n"
        )
    return (
        f" \nName:  {doctor}                     Unit No:   ___\n \n"
        f"Admission Date:  {admitted}              Discharge Date:   {discharged}\n \n"
        f"Date of Birth:  {born}             Sex:   {sex}\n \n"
        f"Service: {stay.profile.service}\n \nAllergies: \n{allergies}\n \nAttending: {doctor}.\n "
    )


def wrapped(text: str) -> str:
    """Break long lines at blanks."""
    wrapped_lines = []
    for line in text.split("\n"):
        while len(line) > WIDTH:
            cut = line.rfind(" ", 40, WIDTH)
            if cut < 0:
                break
            wrapped_lines.append(line[:cut])
            line = line[cut + 1 :]
        wrapped_lines.append(line)
    return "\n".join(wrapped_lines)


def _misspelled(text: str, spans: list[marks.Span], draw: Draw, rate: float) -> tuple[str, list[marks.Span]]:
    """Insert typing errors: a letter is deleted, doubled, or swapped with the next. Spans move with the text."""
    for _ in range(poisson(draw, rate * len(text) / 6.5)):
        position = int(draw() * len(text))
        start, end = position, position
        while start > 0 and text[start - 1].isalpha():
            start -= 1
        while end < len(text) and text[end].isalpha():
            end += 1
        if end - start < 5 or text[start - 1 : start] == "*":
            continue
        i, error_type = start + 1 + int(draw() * (end - start - 2)), draw()
        if error_type < 0.4:
            text, spans = text[:i] + text[i + 1 :], marks.shifted(spans, i, -1)
        elif error_type < 0.6:
            text, spans = text[:i] + text[i] + text[i:], marks.shifted(spans, i, 1)
        else:
            text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text, spans
