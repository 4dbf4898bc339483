"""Models with names: copies of trained models in models/kept, each with a card that says what it is."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from medcode import io
from medcode.errors import UserError, nearest
from medcode.inference import calibration, saved_model

ROOT = Path("models/kept")
CURRENT, OPEN, CALIBRATION = Path("models/current"), Path("models/open"), Path("models/calibration")
CARD = "README.md"
OF_OPEN, OF_CALIBRATION = "open", "calibration"  # what belongs to a model, within its folder
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def names() -> list[str]:
    """Return the names of the kept models, sorted."""
    return sorted(path.parent.name for path in ROOT.glob("*/model.json"))


def find(name: str) -> Path:
    """Return the folder of a model, given its path or its name.

    Raises:
        UserError: there is neither such a folder nor such a name; or it is models/current, which is not there while a
            model is trained, and there are kept ones to take instead.
    """
    if Path(name) == CURRENT and not (CURRENT / "model.json").exists() and names():
        raise UserError(
            f"{CURRENT}: has no trained model; one may be in training. --model NAME takes a kept one: "
            f"{', '.join(names())}"
        )
    if os.sep in name or Path(name).is_dir():
        return Path(name)
    if (ROOT / name / "model.json").exists():
        return ROOT / name
    hint = nearest(name, names()) if names() else "`medcode keep NAME` gives the trained model a name"
    raise UserError(f"--model: there is neither a folder nor a kept model {name}; {hint}")


def open_folder(model: Path) -> Path:
    """Return the folder that scores unseen codes for a model: in its own, where it was kept, else beside it."""
    return model / OF_OPEN if (model / OF_OPEN).is_dir() else model.parent / OF_OPEN


def calibration_folder(model: Path) -> Path:
    """Return the folder of a model's calibration: in its own, where it was kept, else beside it."""
    inside = model / OF_CALIBRATION
    return inside if (inside / calibration.FILE).exists() else model.parent / OF_CALIBRATION


def keep(name: str, card: str) -> Path:
    """Copy the trained model under a name, with a card, all or nothing; return its folder.

    A scorer of unseen codes and a calibration are copied too, if they were made for this model.

    Raises:
        UserError: the name is not allowed or taken, there is no trained model, or it or its calibration is damaged.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"NAME: small letters, digits, points, dashes and underscores, at most 64, found {name[:80]}")
    folder = ROOT / name
    if folder.exists():
        raise UserError(f"{folder}: exists; choose another name, or remove that folder")
    for trained in saved_model.load_all(CURRENT):  # every seed can be read
        heads = trained.model.heads
    is_calibrated = _is_of(CALIBRATION / calibration.FILE, CURRENT)
    if is_calibrated:
        calibration.read(CALIBRATION, saved_model.digests(CURRENT), heads)
    with io.atomic_folder(folder) as target:
        shutil.copytree(CURRENT, target, dirs_exist_ok=True)
        if _is_of(OPEN / "open.json", CURRENT):
            shutil.copytree(OPEN, target / OF_OPEN)
        if is_calibrated:
            shutil.copytree(CALIBRATION, target / OF_CALIBRATION)
        io.write_text(target / CARD, card)
    return folder


def _is_of(file: Path, model: Path) -> bool:
    """Whether a scorer of unseen codes or a calibration was made for a model."""
    values = io.read_json(file) if file.exists() else {}
    return isinstance(values, dict) and values.get("models") == saved_model.digests(model)
