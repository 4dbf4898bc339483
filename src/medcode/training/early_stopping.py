"""The best epoch so far, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best(values: Sequence[float], *, lowest: bool = False) -> int:
    """Index of the first best value. NaN is ignored; 0 if all are NaN.

    Source: caml-mimic, argmax of the dev metric's history (argmin of a loss).
    """
    worst = math.inf if lowest else -math.inf
    comparable = [worst if math.isnan(value) else value for value in values]
    return comparable.index(min(comparable) if lowest else max(comparable))


def should_stop(values: Sequence[float], patience: int | None, *, lowest: bool = False) -> bool:
    """Whether `patience` epochs have passed without a new best. Never if it is None."""
    return patience is not None and len(values) - 1 - best(values, lowest=lowest) >= patience
