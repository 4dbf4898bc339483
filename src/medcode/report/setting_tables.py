"""Tables of the run's settings on the report page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcode.config import Evaluation, ModelSettings, Run, Split, WordVectors


class Shown(Run):
    """The parameters that the page shows."""

    word2vec: WordVectors
    evaluation: Evaluation
    split: Split


def setting_tables(params: Shown, settings: ModelSettings) -> list[dict[str, Any]]:
    """Return a table for each group of settings: its name, and rows of a key and its value."""
    options = settings.config.model_dump(exclude={"dropout", "embedding"})  # listed with the recipe
    recipe = settings.recipe.model_dump(exclude={"options", *settings.recipe.idle})
    run = {key: getattr(params, key) for key in ("corpus", "label_set", "model", "encoder", "seed", "seeds")}
    return [
        {"name": f"Recipe {settings.recipe_name}", "rows": _rows(recipe)},
        {"name": "Run", "rows": _rows(run)},
        {"name": f"Architecture of {settings.model}", "rows": _rows(options)},
        {"name": "Word vectors", "rows": _rows(params.word2vec.model_dump())},
        {"name": "Evaluation", "rows": _rows(params.evaluation.model_dump())},
        {"name": "Split", "rows": _rows(params.split.model_dump())},
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, _format_setting(value)) for key, value in values.items()]


def _format_setting(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_format_setting(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_format_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
