"""One file per published model. A model is found by the name of its file.

Importing one model imports no other, so a change to one model cannot touch the results of another. The exceptions are
MT-RAM and MARN, which are settings of bigru_label_attention, and GKI-ICD, which is a training of PLM-CA.
"""

from __future__ import annotations

import importlib
import pkgutil

from medcode.config.models import only_subclass
from medcode.errors import UserError, nearest
from medcode.models.base import Model

NOT_MODELS = {"base", "catalog", "encoder_base", "inputs", "ram_base"}


def names() -> list[str]:
    """Return the names of all models, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_MODELS)


def find(name: str) -> type[Model]:
    """Return the class of a model.

    Raises:
        UserError: there is no such model, and the message names the nearest; or its file does not define one class.
    """
    if name not in names():
        raise UserError(f"model: there is no '{name}'; {nearest(name, names())}")
    return only_subclass(importlib.import_module(f"{__name__}.{name}"), Model)
