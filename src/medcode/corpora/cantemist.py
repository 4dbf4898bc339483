"""CANTEMIST v6 (IberLEF 2020): oncological cases in Spanish, CC BY 4.0.

Codes are morphologies of eCIE-O 3.1, the Spanish ICD-O-3. Spans are in the format of brat, one file a case: a line for
each mention, and a note on it with its code. The split is the published one, with two development sets.
López-García et al. 2021 chose their settings on the second and trained on the first as well (`dev: set2`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora.cases import Cases, at_line
from medcode.corpora.extraction import Codes, Extraction, extraction
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError

CORPUS = "cantemist"
SYSTEM = "icdo3"
TABLES = {"train-set": "train", "dev-set1": "dev1", "dev-set2": "dev2", "test-set": "test"}  # folder: name of its table
BACKGROUND = "background-set"
HEADER = ("file", "code")


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the folders train-set, dev-set1, dev-set2, test-set and, if it exists, background-set.

    Texts are those of the task cantemist-norm, which every set has; they equal those of cantemist-coding.

    Args:
        options: `dev` (both, set1 or set2), the development sets that are dev; the other one belongs to train.

    Raises:
        UserError: a folder or a file is missing, a file is not UTF-8, a line is not a pair of a case and a code, or a
            code belongs to a case without a text; a mention has no code, is not within the text, or has a code that the
            case does not have.
    """
    notes = Notes(str(folder), spool)
    cases = Cases(CORPUS, notes)
    per_set = {name: cases.add_texts(folder / name / "cantemist-norm", _split(name, options.dev)) for name in TABLES}
    if (background := folder / BACKGROUND).is_dir():
        per_set[BACKGROUND] = cases.add_texts(background, "background")
    codes = Codes(notes.admissions)
    for name, table in TABLES.items():
        path = folder / name / "cantemist-coding" / f"{table}-coding.tsv"
        rows = cases.codes(path, SYSTEM, HEADER)
        codes.add(SYSTEM, rows["case"], rows["code"], source=str(path))
    spans = Spans(notes)
    for name in TABLES:
        for text in sorted((folder / name / "cantemist-norm").glob("*.txt")):
            path = text.with_suffix(".ann")
            for number, positions, mention, code in _mentions(cases, path):
                with at_line(path, number):
                    cases.add_span(spans, text.stem, SYSTEM, code, positions, mention)
    return extraction(notes, codes, notes.added, spans=spans, notes_per_set=per_set)


def _split(name: str, dev: str) -> str:
    if name in ("dev-set1", "dev-set2"):
        return "dev" if dev == "both" or name == f"dev-{dev}" else "train"
    return name.removesuffix("-set")


def _mentions(cases: Cases, path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Read a file of brat: yield the line, the offsets, the text and the code of each mention.

    Raises:
        UserError: a line is neither a mention nor a note, or a mention has no code.
    """
    mentions, codes = {}, {}
    for number, line in cases.lines(path):
        name, *values = line.split("\t")
        kind, _, rest = values[0].partition(" ") if len(values) == 2 else ("", "", "")
        if name.startswith("T") and rest:
            mentions[name] = (number, rest, values[1])
        elif name.startswith("#") and kind == "AnnotatorNotes":
            codes[rest] = values[1]
        else:
            raise UserError(f"{path}: line {number}: neither a mention (T) nor a note with its code (#)")
    for name, (number, positions, mention) in mentions.items():
        if name not in codes:
            raise UserError(f"{path}: line {number}: there is no note with the code of mention {name[:20]}")
        yield number, positions, mention, codes[name].strip()
