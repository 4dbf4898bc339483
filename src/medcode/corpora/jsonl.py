"""Your own corpus: one JSON object a line, in any number of files *.jsonl or *.jsonl.gz.

    {"admission_id": "17", "patient_id": "4", "text": "...", "codes": [{"system": "icd10cm", "code": "E11.9"}],
     "spans": [{"system": "icd10cm", "code": "E11.9", "start": 12, "end": 20}]}

`split` (train, dev, test or background) is optional: for all lines or for none. So is `spans`, for each line: the
places in its text that justify its codes, in characters (Unicode code points), the end excluded; a discontinuous span
has `"parts": [[12, 20], [25, 30]]` in place of `start` and `end`. Codes are written with or without their point. Any
deviation is an error that names the line; nothing is guessed. Keys of other names are counted and not read, unless one
looks like a typing error.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from medcode.codes import formatting
from medcode.corpora.extraction import Extraction, collected, extraction
from medcode.corpora.named_counts import NamedCounts
from medcode.corpora.notes import SPLITS, Notes
from medcode.corpora.spans import Spans
from medcode.errors import UserError, nearest
from medcode.identifiers import SHOWN, present
from medcode.table_files import lines

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
    assigned: list[tuple[str, str, str]] = []
    other_keys = NamedCounts(blanks=True)
    for path in paths:
        for number, line in lines(path):
            try:
                value = _object(line)
                for key in (key for key in value if key not in KEYS):
                    other_keys.add(key)
                _add(value, notes, assigned, spans, options.systems)
            except UserError as error:
                raise UserError(f"{path}: line {number}: {error}") from None
    codes, n_other_codes = collected(notes, assigned, options.systems)
    return extraction(
        notes,
        codes,
        notes.added,
        dropped={"codes_of_other_systems": n_other_codes},
        spans=spans,
        remarks=(f"jsonl: keys that are not read, and their lines: {other_keys}",) if other_keys else (),
        keys_not_read=dict(other_keys.counts),
    )


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
    lacking = [key for key in KEYS if key not in value]
    for key in value:
        if key not in KEYS and (meant := next((name for name in lacking if _is_typing_error(key, name)), None)):
            raise UserError(f"unknown key '{key[:40]}'; did you mean '{meant}'?")
    for key in REQUIRED:
        if key in lacking:
            raise UserError(f"there is no '{key}'")
    return value


def _is_typing_error(key: str, name: str) -> bool:
    """Whether a key is a name but for case and punctuation, one letter, or two neighbors that changed places."""
    key, name = ("".join(filter(str.isalnum, word.lower())) for word in (key, name))
    for _ in range(2):  # leave out what both begin with, then what both end in
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(key, name, strict=False)))
        key, name = key[same:][::-1], name[same:][::-1]
    return max(len(key), len(name)) <= 1 or (len(key) == 2 and key == name[::-1])


def _add(
    value: dict[str, Any],
    notes: Notes,
    assigned: list[tuple[str, str, str]],
    spans: Spans,
    systems: list[str],
) -> None:
    admission, patient = (present(value[key], f"'{key}'") for key in ("admission_id", "patient_id"))
    if admission in notes:
        raise UserError(f"admission_id {admission[:SHOWN]} comes twice")
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
    assigned.extend((admission, system, code) for system, code in pairs)
    for system, code, parts in _spans(value.get("spans", [])):
        if (system, code) not in pairs:
            raise UserError(f"'spans' has one of {system} {code}, which is none of the 'codes' of this line")
        if system in systems:
            spans.add(admission, system, code, parts)


def _spans(items: Any) -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
    """Yield system, code and parts of each span: one part, or those of a discontinuous span."""
    if not isinstance(items, list):
        raise UserError("'spans' must be a list")
    for item in items:
        discontinuous = isinstance(item, dict) and "parts" in item
        system, code = _code(item, "spans", ("parts",) if discontinuous else ("start", "end"))
        parts = item["parts"] if discontinuous else [[item["start"], item["end"]]]
        if not (isinstance(parts, list) and parts and all(isinstance(part, list) and len(part) == 2 for part in parts)):
            raise UserError("'parts' must be a list of pairs [start, end]")
        if any(isinstance(offset, bool) or not isinstance(offset, int) for part in parts for offset in part):
            raise UserError("'start' and 'end' must be whole numbers: characters of 'text', the end excluded")
        yield system, code, [(start, end) for start, end in parts]


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
