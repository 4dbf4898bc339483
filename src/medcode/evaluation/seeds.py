"""Mean and standard deviation of measurements over trainings that differ only in their seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np


def mean(measured: Sequence[Any]) -> Any:
    """Return the per-leaf mean over runs. `measured` are equally shaped nested dicts and lists.

    A value identical in all runs is returned unchanged. Texts that differ are joined. A value that is None in any run
    is None.
    """
    return _combine(measured, np.mean)


def deviation(measured: Sequence[Any]) -> Any:
    """Return the per-leaf sample standard deviation (ddof=1) over runs. `measured` are equally shaped nested dicts.

    A value identical in all runs gives 0.0. Texts and None are as in `mean`.
    """
    return _combine(measured, partial(np.std, ddof=1), if_equal=0.0)


def _combine(values: Sequence[Any], statistic: Callable[[Sequence[float]], Any], if_equal: float | None = None) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {key: _combine([value[key] for value in values], statistic, if_equal) for key in first}
    if isinstance(first, list):
        return [_combine(items, statistic, if_equal) for items in zip(*values, strict=True)]
    if isinstance(first, str):
        return "; ".join(dict.fromkeys(values))
    if any(value is None for value in values):
        return None
    if all(value == first for value in values):
        return first if if_equal is None else if_equal
    return float(statistic(values))


def spread(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of each seed and their sample standard deviation; empty for a single seed.

    Args:
        measured: {seed: nested numbers}.
    """
    if len(measured) == 1:
        return {}
    return {"standard_deviation": deviation(list(measured.values())), "seeds": measured}


def mean_curve(histories: Iterable[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Return the mean learning curve: each row is a mean over the trainings that reached the epoch, `seeds` of them."""
    histories = list(histories)
    curve = []
    for epoch in range(max(map(len, histories), default=0)):
        rows = [history[epoch] for history in histories if len(history) > epoch]
        curve.append(mean(rows) | {"seeds": len(rows)})
    return curve
