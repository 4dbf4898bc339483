"""The best epoch so far, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence

# A metric this close to that of base rates is at its floor.
FLOOR_MARGIN = 0.02


def best(values: Sequence[float], *, lowest: bool = False) -> int:
    """Return the index of the first best value. NaN is ignored; 0 if all are NaN.

    Source: caml-mimic, argmax of the dev metric's history (argmin of a loss).
    """
    worst = math.inf if lowest else -math.inf
    comparable = [worst if math.isnan(value) else value for value in values]
    return comparable.index(min(comparable) if lowest else max(comparable))


def should_stop(
    values: Sequence[float], patience: int | None, *, lowest: bool = False, floor: float | None = None
) -> bool:
    """Return whether `patience` epochs have passed without a new best. Never if it is None.

    Patience does not run while the metric stands at its floor. A model that still predicts base rates has not begun to
    learn, which can take longer than any patience where labels are many.

    Args:
        values: the metric after each epoch.
        patience: number of epochs.
        lowest: whether the lowest value is the best.
        floor: the metric of base rates; None if the metric has no floor.
    """
    index = best(values, lowest=lowest)
    if patience is None or (floor is not None and values[index] <= floor + FLOOR_MARGIN):
        return False
    return len(values) - 1 - index >= patience
