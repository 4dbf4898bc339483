"""What `predict` does for one note and for many alike."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.coder import Coder


def load(arguments: argparse.Namespace) -> Coder:
    """Read the model.

    Raises:
        UserError: it is missing or damaged.
    """
    let_threads_sleep()
    from medcode import coder

    return coder.load(arguments.model, arguments.open)


def let_threads_sleep() -> None:
    """Let threads that wait sleep; to be called before torch is loaded, which reads it.

    By default they spin: on two cores that other programs used too, notes took four times the CPU time, and three times
    as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def marks() -> tuple[str, str]:
    """Return what begins and ends the evidence in a line that is printed."""
    is_terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return ("\x1b[1;7m", "\x1b[0m") if is_terminal else ("[[", "]]")


def warn_of_zero_thresholds(thresholds: dict[str, float]) -> None:
    """Say on standard error which heads predict every code for every note."""
    for head, threshold in thresholds.items():
        if threshold == 0:
            from medcode.evaluation.summary import ZERO_THRESHOLD

            print(f"WARNING: {head}: {ZERO_THRESHOLD}; or set --threshold or --top", file=sys.stderr)
