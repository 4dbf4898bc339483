"""Where a model is found: models/current, and models with names in models/kept, each with a card that says what it is.

models/current may be replaced at any moment, by the end of a training. `read` reads one model all the same.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from medcode import io
from medcode.errors import UserError, nearest
from medcode.inference import card, published, saved_model

ROOT, CURRENT = Path("models/kept"), Path("models/current")
CARD = "README.md"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
TRIES, PAUSE = 20, 0.1  # of a read beside a writer; seconds until an error counts
Result = TypeVar("Result")


def names() -> list[str]:
    """Return the names of the kept models, sorted."""
    return sorted(path.parent.name for path in ROOT.glob("*/model.json"))


def find(name: str) -> Path:
    """Return the folder of a model, given its path or its name.

    Raises:
        UserError: there is neither such a folder nor such a name; or it is models/current, where there is no model, and
            there are kept ones to take instead.
    """
    if os.sep in name or Path(name).is_dir():
        folder = io.moved_aside(name) or Path(name)
        if folder == CURRENT and not (CURRENT / "model.json").exists() and names():
            raise UserError(
                f"{CURRENT}: has no model; dvc repro trains and publishes one. --model NAME takes a kept one: "
                f"{', '.join(names())}"
            )
        return folder
    if (ROOT / name / "model.json").exists():
        return ROOT / name
    hint = nearest(name, names()) if names() else "`medcode keep NAME` gives the trained model a name"
    raise UserError(f"--model: there is neither a folder nor a kept model {name}; {hint}")


def read(name: str, reader: Callable[[Path], Result]) -> Result:
    """Return what a function reads from the folder of a model, all of it from one model.

    The folder may be replaced meanwhile, or its files one by one, as `dvc checkout` does in models/trained. So what was
    read counts only if no file has changed since, and so does an error; else it is read again.

    Args:
        name: path or name of the model, as for `find`.
        reader: gets the folder; its UserErrors are raised.

    Raises:
        UserError: as for `find`, or the reader's; or the folder changes all the time.
    """
    for _ in range(TRIES):
        before = _files(name)
        try:
            result = reader(find(name))
        except (UserError, OSError):
            time.sleep(PAUSE)
            if _files(name) == before:
                raise
        else:
            if before is not None and _files(name) == before:
                return result
    raise UserError(f"{name}: changes all the time; something writes there, wait for its end")


def _files(name: str) -> dict[Path, tuple[int, int, int]] | None:
    """Return what tells the files of a model's folder from others at the same paths; None where one just vanishes."""
    try:
        files = [path for path in find(name).rglob("*") if not path.is_dir()]
        return {path: (found.st_ino, found.st_size, found.st_mtime_ns) for path in files for found in [path.stat()]}
    except (OSError, UserError):
        return None


def open_folder(model: Path) -> Path:
    """Return the folder that scores unseen codes for a model: in its own, or beside that of one just trained."""
    return _in_or_beside(model, published.OPEN)


def calibration_folder(model: Path) -> Path:
    """Return the folder of a model's calibration: in its own, or beside that of one just trained."""
    return _in_or_beside(model, published.CALIBRATION)


def _in_or_beside(model: Path, name: str) -> Path:
    return model / name if (model / name).is_dir() else model.parent / name


def keep(name: str) -> Path:
    """Copy models/current under a name, with a card, all or nothing; return the folder.

    Raises:
        UserError: the name is not allowed or taken, or there is no model, or it is damaged.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"NAME: small letters, digits, points, dashes and underscores, at most 64, found {name[:80]}")
    folder = ROOT / name
    if folder.exists():
        raise UserError(f"{folder}: exists; choose another name, or remove that folder")
    with io.atomic_folder(folder) as target:
        read(str(CURRENT), lambda current: _copy(current, target))
        io.write_text(target / CARD, _card(name, target))
    return folder


def _copy(source: Path, target: Path) -> None:
    published.Parts.of(source).check()
    shutil.rmtree(target)  # of an earlier try
    published.copy_files(source, target)


def _card(name: str, folder: Path) -> str:
    parts = published.Parts.of(folder)
    trained, test, baseline = (io.read_json(path) for path in (parts.train, parts.test, parts.baseline))
    return card.card(name, trained, test, baseline, len(saved_model.of_all_seeds(folder)))
