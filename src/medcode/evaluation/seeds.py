"""What several trainings that differ in their seed alone have measured, taken together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np


def mean(measured: Sequence[Any]) -> Any:
    """Mean of every number in nested mappings and lists of one shape; what is the same in all stays as it is.

    Texts that differ are joined; a number that one of them lacks (None) is None.
    """
    return _combine(measured, np.mean)


def deviation(measured: Sequence[Any]) -> Any:
    """Sample standard deviation of every number in nested mappings of one shape; of what is the same in all, 0.

    Texts are left as `mean` leaves them.
    """
    return _combine(measured, partial(np.std, ddof=1), same=0.0)


def _combine(values: Sequence[Any], of_numbers: Callable[[Sequence[float]], Any], same: float | None = None) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {key: _combine([value[key] for value in values], of_numbers, same) for key in first}
    if isinstance(first, list):
        return [_combine(parts, of_numbers, same) for parts in zip(*values, strict=True)]
    if isinstance(first, str):
        return "; ".join(dict.fromkeys(values))
    if any(value is None for value in values):
        return None
    if all(value == first for value in values):
        return first if same is None else same
    return float(of_numbers(values))


def spread(measured: dict[str, Any]) -> dict[str, Any]:
    """The numbers of each seed, {seed: nested numbers}, and their sample standard deviation; nothing of one alone."""
    if len(measured) == 1:
        return {}
    return {"standard_deviation": deviation(list(measured.values())), "seeds": measured}


def mean_curve(histories: Iterable[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The learning curve of all seeds: of each epoch the mean over the `seeds` trainings that came so far."""
    histories = list(histories)
    curve = []
    for epoch in range(max(map(len, histories), default=0)):
        rows = [history[epoch] for history in histories if len(history) > epoch]
        curve.append(mean(rows) | {"seeds": len(rows)})
    return curve
