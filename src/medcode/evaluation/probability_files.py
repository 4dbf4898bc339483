"""File of the probabilities of a trained model on dev and test, from which models of one study are measured as one."""

from __future__ import annotations

import os
import zipfile

import numpy as np

from medcode import io
from medcode.errors import UserError

Probabilities = dict[str, dict[str, np.ndarray]]  # by split and head


def write(path: str | os.PathLike, probabilities: Probabilities) -> None:
    """Write the probabilities as one compressed file.

    Args:
        path: of the file. Like the model it holds what was learned from notes, so it stays on the machine.
        probabilities: of all documents of each split, float32 [n, Y] by split and head.
    """
    arrays = {f"{split}/{head}": values for split, heads in probabilities.items() for head, values in heads.items()}
    with io.atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: str | os.PathLike) -> Probabilities:
    """Read the file of `write`.

    Raises:
        UserError: the file is missing or damaged.
    """
    probabilities: Probabilities = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                split, head = name.split("/")
                probabilities.setdefault(split, {})[head] = arrays[name]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again") from error
    return probabilities
