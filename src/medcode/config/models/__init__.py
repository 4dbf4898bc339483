"""Options of the models, one file per model; a model is found by the name of its file.

They are separate from the networks so that a settings file can be checked without loading PyTorch.
"""

from __future__ import annotations

import importlib
import pkgutil

from medcode.config.models.base import ModelConfig
from medcode.errors import UserError, nearest


def names() -> list[str]:
    """List the models, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def find(name: str) -> type[ModelConfig]:
    """Return the class of a model's options.

    Raises:
        UserError: there is no such model; the message names the nearest.
    """
    if name not in names():
        raise UserError(f"model: there is no '{name}'; {nearest(name, names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (options,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, ModelConfig) and item.__module__ == module.__name__
    )
    return options
