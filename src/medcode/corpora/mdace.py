"""MDACE (Cheng et al. 2023): places in notes of MIMIC-III that coders marked as evidence of codes; a file an admission.

    {"hadm_id": 100001, "notes": [{"note_id": 17, "category": "Discharge summary", "annotations": [
        {"begin": 12, "end": 20, "code": "401.9", "code_system": "ICD-9-CM"}]}]}

`note_id` is ROW_ID of NOTEEVENTS. `begin` and `end` are characters of its text, the end excluded, with a line break as
one. Other keys are ignored.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medcode.codes import formatting
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError
from medcode.identifiers import identifier

SYSTEMS = {"ICD-9-CM": "icd9cm", "ICD-9-PCS": "icd9proc"}  # the others, such as CPT, are none of MIMIC-III's
# Why an annotation is left out. Two are the same where two codes of ICD-10 were mapped to one of ICD-9.
REASONS = ("other_admission", "other_category", "other_note", "other_system", "unusual_code", "no_words", "repeated")
_WITHIN_WORD = re.compile(r"(?<=\w)(?=\w)")


class _Object(BaseModel):
    model_config = ConfigDict(strict=True)


class _Annotation(_Object):
    begin: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    code: str
    code_system: str


class _Note(_Object):
    note_id: int
    category: str
    annotations: list[_Annotation]


class Admission(_Object):
    """What a file holds."""

    hadm_id: int
    notes: list[_Note]

    @property
    def rows(self) -> set[str]:
        """ROW_IDs of the annotated notes."""
        return {identifier(note.note_id) for note in self.notes}


def read(folder: Path) -> dict[Path, Admission]:
    """Read every *.json of a folder, sorted by name: {file: admission}.

    Raises:
        UserError: there is no such file; a file has another form; an admission has two files.
    """
    if not (paths := sorted(folder.glob("*.json"))):
        raise UserError(f"{folder}: there is no *.json file; name a folder that has them (docs/DATA.md)")
    admissions: dict[Path, Admission] = {}
    files: dict[int, Path] = {}
    for path in paths:
        try:
            admissions[path] = admission = Admission.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]  # its message lacks the value, which may be text of a note
            place = ".".join(map(str, problem["loc"]))
            message = f"{place}: {problem['msg']}" if place else problem["msg"]
            raise UserError(f"{path}: {message}; docs/DATA.md shows the form") from None
        if (first := files.setdefault(admission.hadm_id, path)) != path:
            raise UserError(f"{path}: {first.name} has admission {admission.hadm_id} too; keep one of the two files")
    return admissions


def add_spans(
    spans: Spans,
    notes: Notes,
    admissions: Mapping[Path, Admission],
    places: Mapping[str, tuple[str, int]],
    systems: Collection[str],
) -> tuple[dict[str, int], dict[str, int]]:
    """Add a span, without blanks at its ends, for each annotation of a note of the corpus.

    Args:
        places: {ROW_ID: (admission, number of the note within it)}.
        systems: code systems to keep.

    Returns:
        Numbers of files and annotations, and of spans that begin or end within a word: many if the offsets are those of
        other texts. Then numbers of annotations left out, by reason.

    Raises:
        UserError: a note is of another admission, or a span is not within its note.
    """
    counts = {"files": len(admissions), "annotations": 0, "spans_within_words": 0}
    dropped: Counter[str] = Counter()
    for path, file in admissions.items():
        admission = identifier(file.hadm_id)
        for note in file.notes:
            counts["annotations"] += len(note.annotations)
            found, number = places.get(identifier(note.note_id), (None, 0))
            if found is None:
                is_summary = note.category.strip().lower() == "discharge summary"
                reason = "other_note" if is_summary else "other_category"
                dropped[reason if admission in notes else "other_admission"] += len(note.annotations)
                continue
            try:
                if found != admission:
                    raise UserError(f"NOTEEVENTS has it in admission {found[:40]}, this file in {admission}")
                text = notes.texts(admission)[number]
                for system, code, start, end in _kept(note, text, systems, dropped):
                    spans.add(admission, system, code, [(start, end)], note=number)
                    counts["spans_within_words"] += any(_WITHIN_WORD.match(text, cut) for cut in (start, end))
            except UserError as error:
                raise UserError(f"{path}: note {note.note_id}: {error}") from None
    return counts, {f"annotations_{reason}": dropped[reason] for reason in REASONS}


def _kept(
    note: _Note, text: str, systems: Collection[str], dropped: Counter[str]
) -> Iterator[tuple[str, str, int, int]]:
    """Yield system, code, start and end of the annotations to keep, and count the others."""
    kept = set()
    for annotation in note.annotations:
        if (system := SYSTEMS.get(annotation.code_system)) is None or system not in systems:
            dropped["other_system"] += 1
            continue
        try:
            code = formatting.normalized(annotation.code, system)
        except UserError:  # MIMIC could not have assigned it
            dropped["unusual_code"] += 1
            continue
        start, end = _trimmed(text, _in_text(text, annotation.begin), _in_text(text, annotation.end))
        if start == end <= len(text):
            dropped["no_words"] += 1
        elif (span := (system, code, start, end)) in kept:
            dropped["repeated"] += 1
        else:
            kept.add(span)
            yield span


def _in_text(text: str, offset: int) -> int:
    r"""Convert an offset that counts a line break as one character: a table from Windows has \r\n."""
    breaks = [match.start() - number for number, match in enumerate(re.finditer("\r\n", text))]
    return offset + bisect_left(breaks, offset)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out blanks at the ends of a part of the text. A part that is not within the text stays as it is."""
    while start < end <= len(text) and text[start].isspace():
        start += 1
    while start < end <= len(text) and text[end - 1].isspace():
        end -= 1
    return start, end
