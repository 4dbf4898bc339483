"""Refuse files that may hold notes or data derived from them: `python tools/refuse_notes.py FILE...`.

A hook of pre-commit runs it on all files that are to be committed. It needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

# Everything below these is derived from notes, but for the folder that stands for the lack of published lists.
FOLDERS = ("data/", "models/", "checkpoints/", "logs/")
ALLOWED = ("data/splits-published/none/",)
NAMES = {
    "a table of a hospital": ("*.csv.gz", "noteevents*", "discharge.csv*"),
    "a table of notes": ("notes*.parquet", "notes*.csv"),
    "a FHIR export": tuple(f"{name}*.ndjson*" for name in ("documentreference", "condition", "procedure")),
    "a ledger of a review": ("*.review.jsonl",),
    "weights of a model": ("*.safetensors", "*.pt", "*.pth", "*.ckpt", "*.onnx", "pytorch_model*.bin", "vectors*.npy"),
}


def reason(path: str, read: Callable[[], str]) -> str | None:
    """Return why a file must not be committed; None if it may be.

    Args:
        path: below the root of the repository.
        read: returns the content of the file, which is asked for only where the name does not decide.
    """
    plain = PurePosixPath(path.replace("\\", "/")).as_posix().lower()
    if plain.startswith(FOLDERS) and not plain.startswith(ALLOWED):
        return f"{plain.split('/')[0]}/ stays on this machine"
    name = PurePosixPath(plain).name
    for file_type, patterns in NAMES.items():
        if any(fnmatch(name, pattern) for pattern in patterns):
            return f"it has the name of {file_type}"
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
        if name.endswith(".gz"):
            return "it is a compressed file of records"
        if any(map(_has_text, read().splitlines())):
            return "a record in it has a field 'text'"
    return None


def _has_text(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return '"text"' in line
    return isinstance(record, dict) and "text" in record


def main(paths: list[str]) -> int:
    """Print a line for each refused file; return 1 if there is one."""
    refused = 0
    for path in paths:
        why = reason(path, lambda path=path: Path(path).read_text(encoding="utf-8", errors="replace"))
        if why:
            print(f"error: {path}: not to be committed: {why} (docs/DATA.md)", file=sys.stderr)
            refused = 1
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
