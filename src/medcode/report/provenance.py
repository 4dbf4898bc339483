"""What a result was made from, as digests that dvc.lock has too: no date, and the same at each rerun."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import medcode
from medcode.config import Run


def provenance(params: Run, code: Path, inputs: Path, model: Path) -> dict[str, str]:
    """Return the facts of the table by their names.

    The commit is not among them: a file cannot hold the commit that it is committed with. The digests lead to it.

    Args:
        params: the run.
        code: digests of the code that training runs.
        inputs: the data that the model was trained and measured on.
        model: the trained model.
    """
    return {
        "medcode": medcode.__version__,
        "corpus": params.corpus,
        "label set": params.label_set,
        "model": params.model,
        "training code": digest(code),
        "data": digest(inputs),
        "trained model": digest(model),
    }


def digest(path: Path) -> str:
    """Return the digest of a file or folder as dvc.lock has it: MD5, of a folder that of its list of files."""
    if path.is_file():
        return _md5(path)
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listed = json.dumps([{"md5": _md5(file), "relpath": name} for name, file in files], sort_keys=True)
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
