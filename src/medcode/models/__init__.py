"""One file per published model. A model is found by the name of its file.

Importing one model imports no other, so that a change to another model cannot touch its results; but for MT-RAM and
MARN, which are settings of bigru_label_attention.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Any

from medcode.config import Recipe, build
from medcode.errors import UserError, nearest
from medcode.models.base import Model, ModelConfig

NOT_MODELS = {"base", "encoder_base"}


def names() -> list[str]:
    """Lists the models, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_MODELS)


def find(name: str) -> type[Model]:
    """Returns the class of a model.

    Raises:
        UserError: there is no such model; names the nearest.
    """
    if name not in names():
        raise UserError(f"model: there is no '{name}'; {nearest(name, names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (model,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Model) and item.__module__ == module.__name__
    )
    return model


def configure(
    name: str, architecture: dict[str, Any], recipe: Recipe, path: str | os.PathLike = "params.yaml"
) -> ModelConfig:
    """Builds the typed configuration of a model from its block and a recipe.

    Args:
        architecture: the options of the block `models.<name>`, without its recipes.
        recipe: gives dropout and whether word vectors are trained.
        path: the file that the options came from, for messages.

    Raises:
        UserError: an option is unknown, missing, of the wrong type or impossible.
    """
    model = find(name)
    from_recipe = {"dropout": recipe.dropout, "embedding": recipe.embedding}
    for key in from_recipe.keys() & architecture.keys():
        raise UserError(f"{path}: models.{name}.{key}: belongs to a recipe, models.{name}.training.<recipe>.{key}")
    return build(model.Config, {**architecture, **from_recipe}, path, f"models.{name}")
