"""Times of trainings in tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

DASH = "\N{EN DASH}"


def mean_cpu_seconds(device: str, seconds: Sequence[float | None]) -> float | None:
    """Return the mean CPU time of trainings; None on a GPU, or if one was logged without its CPU time.

    Args:
        device: of the trainings, as in environment.json.
        seconds: of each training.
    """
    known = [value for value in seconds if value is not None]
    return statistics.fmean(known) if known and len(known) == len(seconds) and device.startswith("CPU") else None


def format_time(seconds: float | None) -> str:
    """Format a time in seconds, or in minutes from 100 seconds on; a dash for None."""
    if seconds is None:
        return DASH
    return f"{seconds / 60:.1f} min" if seconds >= 100 else f"{seconds:.0f} s"
