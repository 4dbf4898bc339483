"""The learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medcode.config import Recipe

# ReduceLROnPlateau as LAAT's authors set it, with torch's threshold for what counts as better.
PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_MINIMUM, PLATEAU_THRESHOLD = 0.9, 5, 1e-4, 1e-4


def learning_rate(recipe: Recipe, step: int, steps: int, history: Sequence[float] = ()) -> float:
    """Return the learning rate of a step. It is a pure function, so a checkpoint needs no state of the schedule.

    The warm-up is linear, over `warmup_steps` or over the share `warmup_share` of all steps. Then the rate stays
    (`constant`), falls linearly to zero at the last step (`linear`), or is multiplied by 0.9 whenever more than 5
    epochs have passed without a better monitor, down to 1e-4 (`plateau`, LAAT).

    Args:
        recipe: peak rate, schedule and warm-up.
        step: counted from 0.
        steps: of the whole training.
        history: the monitor after each epoch so far.
    """
    warmup = recipe.warmup_steps or round(recipe.warmup_share * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "linear":
        return recipe.learning_rate * max(0.0, (steps - step) / max(1, steps - warmup))
    if recipe.schedule == "plateau":
        return _plateau_rate(recipe.learning_rate, history, lowest=recipe.monitor == "loss")
    return recipe.learning_rate


def _plateau_rate(rate: float, history: Sequence[float], *, lowest: bool) -> float:
    best, waited = math.inf if lowest else -math.inf, 0
    for value in history:
        better = value < best * (1 - PLATEAU_THRESHOLD) if lowest else value > best * (1 + PLATEAU_THRESHOLD)
        best, waited = (value, 0) if better else (best, waited + 1)
        if waited > PLATEAU_PATIENCE:
            rate, waited = min(rate, max(rate * PLATEAU_FACTOR, PLATEAU_MINIMUM)), 0
    return rate
