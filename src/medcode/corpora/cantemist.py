"""CANTEMIST v6 (IberLEF 2020): oncological cases in Spanish, CC BY 4.0.

Codes are morphologies of eCIE-O 3.1, the Spanish ICD-O-3. The split is the published one, with two development sets.
López-García et al. 2021 chose their settings on the second and trained on the first as well (`dev: set2`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from medcode.corpora.cases import Cases
from medcode.corpora.extraction import Codes, Extraction, Notes, extraction

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
            code belongs to a case without a text.
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
    return extraction(notes, codes, notes.added, notes_per_set=per_set)


def _split(name: str, dev: str) -> str:
    if name in ("dev-set1", "dev-set2"):
        return "dev" if dev == "both" or name == f"dev-{dev}" else "train"
    return name.removesuffix("-set")
