"""The model of a run, and the digest by which a run knows it again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medcode import coder
from medcode.coder import Coder
from medcode.inference import calibration, kept, saved_model


def load(name: str, open_folder: str | None) -> tuple[Coder, str]:
    """Return a model, and the digest of just that one, even if its folder is replaced meanwhile.

    Args:
        name: folder of the model, or the name of a kept one.
        open_folder: of what scores unseen codes; None for that of the model.

    Raises:
        UserError: as for `coder.load`.
    """
    return kept.read(name, lambda folder: (coder.load(folder, open_folder), _digest(folder, open_folder)))


def _digest(folder: Path, open_folder: str | None) -> str:
    """Return what tells a model from another one, and from itself with other thresholds, wherever it lies."""
    scorer = Path(open_folder) if open_folder else kept.open_folder(folder)
    models = [folder, *saved_model.further_seeds(folder).values()]
    files = [model / "model.json" for model in models]  # with the digest of its weights
    files += [folder / "labels.json", folder / saved_model.ENSEMBLE, scorer / "open.json"]
    files += [kept.calibration_folder(folder) / calibration.FILE]
    content = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files if file.exists())
    return hashlib.sha256(content).hexdigest()
