"""Options of the models, one file per model; a model is found by the name of its file.

They are separate from the networks so that a settings file can be checked without loading PyTorch.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

from medcode.config.models.base import ModelConfig
from medcode.errors import UserError, nearest

Base = TypeVar("Base")


def names() -> list[str]:
    """List the models, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def find(name: str) -> type[ModelConfig]:
    """Return the class of a model's options.

    Raises:
        UserError: there is no such model, and the message names the nearest; or its file does not define one class.
    """
    if name not in names():
        raise UserError(f"model: there is no '{name}'; {nearest(name, names())}")
    return only_subclass(importlib.import_module(f"{__name__}.{name}"), ModelConfig)


def only_subclass(module: ModuleType, base: type[Base]) -> type[Base]:
    """Return the one subclass of `base` that a module defines. Classes that it imports do not count.

    Raises:
        UserError: the module defines none or several.
    """
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, base) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        defined = ", ".join(item.__name__ for item in found) or "none"
        raise UserError(
            f"{module.__file__}: expected one subclass of {base.__name__}, found {defined}; a base class that models "
            "share belongs in base.py, another model in a file of its own"
        )
    return found[0]
