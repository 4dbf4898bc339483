"""When to stop, and which epoch was the best."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best(values: Sequence[float], *, lowest: bool = False) -> int:
    """Index of the first best value, NaN ignored; 0 where all are NaN.

    Source: caml-mimic, argmax of the dev metric's history (argmin of a loss).
    """
    worst = math.inf if lowest else -math.inf
    known = [worst if math.isnan(value) else value for value in values]
    return known.index(min(known) if lowest else max(known))


def should_stop(values: Sequence[float], patience: int | None, *, lowest: bool = False) -> bool:
    """Whether `patience` epochs have passed without a new best; never where it is None."""
    return patience is not None and len(values) - 1 - best(values, lowest=lowest) >= patience
