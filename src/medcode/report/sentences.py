"""Sentences of the report page about the training and the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcode.config import Evaluation, ModelSettings, Run


def training_line(params: Run, settings: ModelSettings, train: Mapping[str, Any]) -> str:
    """Return the size of the model and how it was trained."""
    total, trainable = (train["parameters"][key] for key in ("total", "trainable"))
    if settings.config.fits_at_once:
        return f"{total:,} parameters, fitted at once with the recipe {train['recipe']}."
    epoch_role = "the one kept" if settings.recipe.restore == "last" else "the best"
    n_trained = "all" if trainable == total else f"{trainable:,}"
    if params.seeds == 1:
        seeds, epoch_verb = f"seed {params.seed}", "was epoch"
    else:
        seeds, epoch_verb = f"the seeds {params.seed} to {params.all_seeds[-1]}", "was on average epoch"
    return (
        f"{total:,} parameters, {n_trained} of them trained with the recipe {train['recipe']} and {seeds}; "
        f"{epoch_role} of {_epochs(train['epochs_run'])} {epoch_verb} {train['best_epoch']:.3g}."
    )


def _epochs(number: float) -> str:
    return f"{number:.3g} epoch" + ("" if number == 1 else "s")


def frequency_note(options: Evaluation) -> str:
    """Return what the thresholds of the figure by frequency are."""
    return f"The fixed threshold is {options.fixed_threshold:g}; the other was tuned on dev for the best micro F1."


def learning_note(train: Mapping[str, Any], settings: ModelSettings) -> str:
    """Return which weights are kept, and why the training ended."""
    recipe = settings.recipe
    if settings.config.fits_at_once:
        return "The weights are fitted at once. Metrics on dev are at the threshold 0.5."
    epoch = "last epoch" if recipe.restore == "last" else f"epoch with the best {recipe.monitor} on dev"
    curriculum = "" if recipe.curriculum is None else "The first epochs are on the levels of the tree above the codes. "
    return (
        f"The weights of the {epoch} are kept. {curriculum}Training ended: {train['stopped']}. "
        "Metrics on dev are at the threshold 0.5."
    )
