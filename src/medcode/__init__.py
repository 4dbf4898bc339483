"""Automated medical coding: ICD codes for clinical notes, as a human coder would assign them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.coder import Coder

__version__ = "0.1.0"


def load(folder: str | os.PathLike, open_folder: str | os.PathLike | None = None) -> Coder:
    """Read a trained model; its `predict` returns the codes of notes. See `medcode.coder.load`."""
    from medcode import coder  # with torch, which importing medcode alone does not need

    return coder.load(folder, open_folder)
