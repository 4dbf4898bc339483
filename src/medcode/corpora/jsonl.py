"""Your own corpus: one JSON object a line, in any number of files *.jsonl or *.jsonl.gz.

    {"admission_id": "17", "patient_id": "4", "text": "...", "codes": [{"system": "icd10cm", "code": "E11.9"}],
     "spans": [{"system": "icd10cm", "code": "E11.9", "start": 12, "end": 20}]}

`split` (train, dev, test or background) is optional: for all lines or for none. So is `spans`, for each line: the
places in its text that justify its codes, in characters (Unicode code points), the end excluded. Codes are written with
or without their point. Any deviation is an error that names the line; nothing is guessed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from medcode.codes import formatting
from medcode.corpora.extraction import Codes, Extraction, extraction
from medcode.corpora.notes import SPLITS, Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError, nearest

REQUIRED = ("admission_id", "patient_id", "text", "codes")
KEYS = (*REQUIRED, "split", "spans")


def read(folder: Path, options: Any, spool: BinaryIO | None = None) -> Extraction:
    """Read every *.jsonl and *.jsonl.gz of the folder, sorted by name.

    Args:
        options: `systems` lists the code systems to keep.

    Raises:
        UserError: there is no such file; a line is not UTF-8, not JSON or not as described above; an admission comes
            twice; the corpus is empty.
    """
    paths = sorted(path for path in folder.iterdir() if path.name.endswith((".jsonl", ".jsonl.gz")))
    if not paths:
        raise UserError(f"{folder}: there is no *.jsonl or *.jsonl.gz file (docs/DATA.md)")
    notes = Notes(str(folder), spool)
    spans = Spans(notes)
    assigned: dict[str, tuple[list[str], list[str]]] = {system: ([], []) for system in formatting.SYSTEMS}
    for path in paths:
        for number, line in _lines(path):
            try:
                _add(_object(line), notes, assigned, spans, options.systems)
            except UserError as error:
                raise UserError(f"{path}: line {number}: {error}") from None
    codes = Codes(notes.admissions)
    for system, (admissions, code_values) in assigned.items():
        if system in options.systems:
            codes.add(system, pd.Series(admissions, dtype="str"), pd.Series(code_values, dtype="str"), str(folder))
    n_other_codes = sum(
        len(code_values) for system, (_, code_values) in assigned.items() if system not in options.systems
    )
    return extraction(notes, codes, notes.added, dropped={"codes_of_other_systems": n_other_codes}, spans=spans)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if line.strip():
                    yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cut off or damaged ({error})") from error


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 (byte {error.start} of the line)") from None
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise UserError("not as expected (nested too deeply)") from None
    if not isinstance(value, dict):
        raise UserError("expected a JSON object")
    for key in value:
        if key not in KEYS:
            raise UserError(f"unknown key '{key[:40]}'; {nearest(key[:40], KEYS)}")
    for key in REQUIRED:
        if key not in value:
            raise UserError(f"there is no '{key}'")
    return value


def _add(
    value: dict[str, Any],
    notes: Notes,
    assigned: dict[str, tuple[list[str], list[str]]],
    spans: Spans,
    systems: list[str],
) -> None:
    admission, patient = _identifier(value, "admission_id"), _identifier(value, "patient_id")
    if admission in notes:
        raise UserError(f"admission_id {admission[:40]} comes twice")
    text, codes, split = value["text"], value["codes"], value.get("split")
    if not isinstance(text, str):
        raise UserError("'text' must be a string")
    if not _encodable(text):
        raise UserError("'text' holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    if split is not None and split not in SPLITS:
        raise UserError(f"'split' is none of {', '.join(SPLITS)}; {nearest(str(split)[:40], SPLITS)}")
    if not isinstance(codes, list):
        raise UserError("'codes' must be a list")
    if codes and split == "background":
        raise UserError("a background note has no codes")
    notes.add(admission, patient, text, split)
    pairs = [_code(item, "codes") for item in codes]
    for system, code in pairs:
        assigned[system][0].append(admission)
        assigned[system][1].append(formatting.undotted(code))
    for system, code, part in _spans(value.get("spans", [])):
        if (system, code) not in pairs:
            raise UserError(f"'spans' has one of {system} {code}, which is none of the 'codes' of this line")
        if system in systems:
            spans.add(admission, system, code, [part])


def _spans(items: Any) -> Iterator[tuple[str, str, tuple[int, int]]]:
    if not isinstance(items, list):
        raise UserError("'spans' must be a list")
    for item in items:
        system, code = _code(item, "spans", ("start", "end"))
        start, end = item["start"], item["end"]
        if any(isinstance(offset, bool) or not isinstance(offset, int) for offset in (start, end)):
            raise UserError("'start' and 'end' must be whole numbers: characters of 'text', the end excluded")
        yield system, code, (start, end)


def _identifier(value: dict[str, Any], key: str) -> str:
    identifier = value[key]
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise UserError(f"'{key}' must be a string or a whole number")
    identifier = str(identifier).strip()
    if not identifier or not identifier.isprintable():
        raise UserError(f"'{key}' is empty or holds a control character")
    return identifier


def _code(item: Any, where: str, other_keys: tuple[str, ...] = ()) -> tuple[str, str]:
    keys = ("system", "code", *other_keys)
    if not isinstance(item, dict) or set(item) != set(keys):
        names = ", ".join(f"'{key}'" for key in keys[:-1])
        raise UserError(f"each of '{where}' must be an object with the keys {names} and '{keys[-1]}'")
    system, code = item["system"], item["code"]
    if not isinstance(code, str):
        raise UserError("'code' must be a string: a number loses its zeros")
    if system not in formatting.SYSTEMS:
        raise UserError(f"unknown code system '{str(system)[:40]}'; {nearest(str(system)[:40], formatting.SYSTEMS)}")
    return system, formatting.normalized(code, system)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
