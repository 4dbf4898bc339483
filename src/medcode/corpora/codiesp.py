"""CodiEsp v4 (CLEF eHealth 2020): clinical cases in Spanish and in machine-translated English, CC BY 4.0.

Codes of track D are ICD-10-CM, of track P ICD-10-PCS (some only categories of four characters). Track X has the spans
of both, in the Spanish texts. The split is the published one; the background cases have no codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora.cases import Cases, at_line
from medcode.corpora.extraction import Codes, Extraction, extraction
from medcode.corpora.notes import Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError, nearest

CORPUS = "codiesp"
TEXTS = {"en": "text_files_en", "es": "text_files"}
LABELED = ("train", "dev", "test")
SPAN_FIELDS = ("case", "label", "code", "mention", "position")
TRACKS = {"DIAGNOSTICO": "D", "PROCEDIMIENTO": "P"}  # label of a span: track of its code
NO_SPANS = "codiesp: spans refer to the Spanish texts, so there are none with corpora.codiesp.language: en"


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read the folders train, dev, test and, if it exists, background.

    Args:
        options: `language` (en or es) and `track` (D, P or both).

    Raises:
        UserError: a folder or a file is missing, a file is not UTF-8, a line is not a pair of a case and a code, or a
            code belongs to a case without a text; a span has another form, is not within the text, or is of a code that
            the case does not have.
    """
    notes = Notes(str(folder), spool)
    cases = Cases(CORPUS, notes)
    texts = {split: folder / split / TEXTS[options.language] for split in (*LABELED, "background")}
    if not texts["background"].is_dir():
        del texts["background"]
    per_split = {split: cases.add_texts(path, split) for split, path in texts.items()}
    codes = Codes(notes.admissions)
    for track, system in options.tracks.items():
        for split in LABELED:
            path = folder / split / f"{split}{track}.tsv"
            rows = cases.codes(path, system)
            codes.add(system, rows["case"], rows["code"], source=str(path))
    if options.language != "es":
        return extraction(notes, codes, notes.added, remarks=(NO_SPANS,), notes_per_split=per_split)
    spans = Spans(notes)
    for split in LABELED:
        _add_spans(spans, cases, folder / split / f"{split}X.tsv", options.tracks)
    return extraction(notes, codes, notes.added, spans=spans, notes_per_split=per_split)


def _add_spans(spans: Spans, cases: Cases, path: Path, systems: dict[str, str]) -> None:
    """Add the spans of the chosen tracks.

    Args:
        systems: {track: code system}.
    """
    for number, (case, label, code, mention, positions) in cases.rows(path, SPAN_FIELDS):
        with at_line(path, number):
            if label not in TRACKS:
                raise UserError(f"unknown label '{label[:20]}'; {nearest(label[:20], TRACKS)}")
            if TRACKS[label] in systems:
                cases.add_span(spans, case, systems[TRACKS[label]], code, positions, mention)
