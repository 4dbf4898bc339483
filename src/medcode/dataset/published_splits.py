"""Splits published as lists of admissions, so that results can be compared document by document.

- caml: Mullenbach et al. 2018, MIMIC-III; a text file of admissions for each split, and for each split of the 50 codes,
  whose documents Shi et al. 2017 had chosen. Nearly all publications on MIMIC-III use these.
- edin-clean, edin-icd9, edin-icd10: Edin et al. 2023, MIMIC-III and MIMIC-IV; a Feather table of admissions and splits.
- edin-joint: both lists of MIMIC-IV at once, as JAMS (Jeong et al.) trains on both. Each divides patients among its
  own splits only, so a patient may be in train by one list and in test by the other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather

from medcode import io
from medcode.dataset.split_names import SPLITS
from medcode.errors import UserError, nearest
from medcode.identifiers import whole_number

_NAMES = {"train": "train", "val": "dev", "dev": "dev", "test": "test"}


@dataclass(frozen=True)
class Publication:
    """Source and files of published lists, and the number of admissions of train, dev and test in each part.

    A part is `full`, `top50` or a code system. `files` has either one text file per split or one Feather table.
    """

    source: str
    files: dict[str, tuple[str, ...]]
    counts: dict[str, tuple[int, int, int]]


_EDIN = "https://github.com/JoakimEdin/medical-coding-reproducibility, files/data"
_ICD9 = (("mimiciv_icd9_split.feather",), (154_542, 21_980, 32_804))
_ICD10 = (("mimiciv_icd10_split.feather",), (89_099, 13_378, 19_802))

PUBLICATIONS = {
    "caml": Publication(
        "https://github.com/jamesmullenbach/caml-mimic, mimicdata/mimic3",
        {
            "full": tuple(f"{split}_full_hadm_ids.csv" for split in SPLITS),
            "top50": tuple(f"{split}_50_hadm_ids.csv" for split in SPLITS),
        },
        {"full": (47_723, 1_631, 3_372), "top50": (8_066, 1_573, 1_729)},
    ),
    "edin-clean": Publication(_EDIN, {"full": ("mimiciii_clean_splits.feather",)}, {"full": (38_401, 5_577, 8_734)}),
    "edin-icd9": Publication(_EDIN, {"icd9": _ICD9[0]}, {"icd9": _ICD9[1]}),
    "edin-icd10": Publication(_EDIN, {"icd10": _ICD10[0]}, {"icd10": _ICD10[1]}),
    "edin-joint": Publication(_EDIN, {"icd9": _ICD9[0], "icd10": _ICD10[0]}, {"icd9": _ICD9[1], "icd10": _ICD10[1]}),
}


@dataclass(frozen=True)
class Lists:
    """The admissions of published lists.

    Attributes:
        name: of the publication.
        ids: admissions of train, dev and test.
        top50: the admissions listed for the 50 codes, all splits together; empty if there is no such list.
        crossing: whether a patient may be in two splits, because two lists were put together.
    """

    name: str
    ids: dict[str, list[str]]
    top50: frozenset[str]
    crossing: bool

    def split_of(self) -> dict[str, str]:
        """Return the split of each admission."""
        return {admission: split for split, ids in self.ids.items() for admission in ids}


def read(folder: str | os.PathLike, name: str) -> tuple[Lists, list[str]]:
    """Read published lists from the files of their publishers.

    Args:
        folder: where the files are.
        name: of the publication.

    Returns:
        The lists, and a line for each count that differs from the published one.

    Raises:
        UserError: the publication is unknown; a file is missing or damaged; an admission is listed twice.
    """
    if name not in PUBLICATIONS:
        raise UserError(f"there is no published split '{name}'; {nearest(name, PUBLICATIONS)}")
    publication, folder = PUBLICATIONS[name], Path(folder)
    parts = {part: _lists(folder, files, publication) for part, files in publication.files.items()}
    notes = [
        f"note: {name}, {part}: {split} lists {len(lists[split]):,} admissions, published were {published:,}"
        for part, lists in parts.items()
        for split, published in zip(SPLITS, publication.counts[part], strict=True)
        if len(lists[split]) != published
    ]
    fifty = parts.pop("top50", {})
    merged, n_repeated = _merge(folder, parts)
    if n_repeated:
        notes.append(f"note: {name}: {n_repeated} admissions are in two lists; the first list decides")
    _check(folder, merged, fifty)
    return Lists(name, merged, frozenset(i for ids in fifty.values() for i in ids), len(parts) > 1), notes


def install(name: str, source: str | os.PathLike, target: str | os.PathLike) -> list[str]:
    """Check the files of published lists and copy them.

    Returns:
        A line for each count that differs from the published one.

    Raises:
        UserError: as for `read`.
    """
    _, notes = read(source, name)
    with io.atomic_folder(target) as folder:
        for file in (file for files in PUBLICATIONS[name].files.values() for file in files):
            with io.atomic_write(folder / file) as copy:
                copy.write(_content(Path(source) / file, PUBLICATIONS[name]))
    return notes


def _lists(folder: Path, files: tuple[str, ...], publication: Publication) -> dict[str, list[str]]:
    if len(files) == 1:
        return _table(folder / files[0], publication)
    return {split: _list(folder / file, publication) for split, file in zip(SPLITS, files, strict=True)}


def _content(path: Path, publication: Publication) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; it is published at {publication.source}") from error


def _list(path: Path, publication: Publication) -> list[str]:
    """Read one admission a line, with or without a header."""
    lines = [line.strip() for line in _content(path, publication).decode("utf-8-sig", "replace").splitlines()]
    ids = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and not line[:1].isdecimal()):
            continue
        ids.append(_identifier(line, f"{path}: line {number}"))
    return ids


def _table(path: Path, publication: Publication) -> dict[str, list[str]]:
    """Read the columns _id and split of a Feather table."""
    try:
        table = feather.read_table(pa.BufferReader(_content(path, publication)))
        columns = [table[name].to_pylist() for name in ("_id", "split")]
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(f"{path}: not a Feather table with the columns _id and split") from error
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row, (admission, split) in enumerate(zip(*columns, strict=True), start=1):
        if split not in _NAMES:
            raise UserError(f"{path}: row {row}: split is none of train, val and test")
        lists[_NAMES[split]].append(_identifier(str(admission), f"{path}: row {row}"))
    return lists


def _identifier(text: str, position: str) -> str:
    admission = whole_number(text)
    if not admission.isdecimal():
        raise UserError(f"{position}: expected the number of an admission")
    return admission


def _merge(folder: Path, parts: dict[str, dict[str, list[str]]]) -> tuple[dict[str, list[str]], int]:
    """Merge lists. An admission in several of them has the split of the first.

    Seven admissions of MIMIC-IV are coded in both editions, and are in both lists.

    Returns:
        The admissions of each split, and the number of admissions in several lists.

    Raises:
        UserError: one list has an admission twice.
    """
    merged: dict[str, list[str]] = {split: [] for split in SPLITS}
    earlier: set[str] = set()
    n_repeated = 0
    for lists in parts.values():
        split_of: dict[str, str] = {}
        for split, ids in lists.items():
            for admission in ids:
                if admission in split_of:
                    raise UserError(
                        f"{folder}: admission {admission} is listed twice, in {split_of[admission]} and {split}"
                    )
                split_of[admission] = split
                if admission in earlier:
                    n_repeated += 1
                else:
                    merged[split].append(admission)
        earlier |= split_of.keys()
    return merged, n_repeated


def _check(folder: Path, merged: dict[str, list[str]], fifty: dict[str, list[str]]) -> None:
    """Check that the admissions for the 50 codes are in the same split as in the full list."""
    split_of = {admission: split for split, ids in merged.items() for admission in ids}
    for split, ids in fifty.items():
        for admission in ids:
            if split_of.get(admission) != split:
                raise UserError(
                    f"{folder}: admission {admission} is listed for the 50 codes in {split}, not so in full"
                )
