"""Tables in Markdown whose rows are measured in processes of their own."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import torch

USER_ERROR = 2


def print_table(columns: Sequence[str], rows: Sequence[Any], measure: Callable[[Any], list[str]], device: str) -> None:
    """Prints a table, a row as soon as it is measured.

    On a CPU each row has a process, because the peak of a CPU's memory cannot be set back. On a GPU all rows share one,
    until one of them ends it: a program that wrote where it must not spoils the device for its whole process.

    Args:
        columns: headings.
        rows: what `measure` is called with; a row is named by its text.
        measure: returns the cells of a row; the module's own function, so that another process finds it.
        device: cpu or cuda.

    Raises:
        SystemExit: a row was a mistake of the user.
    """
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    context, first = multiprocessing.get_context("spawn"), 0
    while first < len(rows):
        group = rows[first : first + 1] if device == "cpu" else rows[first:]
        done = context.Value("i", 0)
        process = context.Process(target=_measure_all, args=(measure, group, done, device))
        process.start()
        process.join()
        first += done.value
        if process.exitcode == USER_ERROR:
            sys.exit(USER_ERROR)
        if process.exitcode:
            print(f"| {rows[first]}: ended with exit code {process.exitcode} |", flush=True)
            first += 1


def _measure_all(measure: Callable[[Any], list[str]], rows: Sequence[Any], done: Synchronized, device: str) -> None:
    for row in rows:
        try:
            cells = measure(row)
        except Exception as error:  # a form may not fit into memory, and a kernel not onto the device
            traceback.print_exc()
            cells = [str(row), f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:120]]
        print(f"| {' | '.join(cells)} |", flush=True)
        done.value += 1
        gc.collect()
        if device == "cuda":
            torch.cuda.synchronize()  # fails where the row has spoiled the device
            torch.cuda.empty_cache()


def clock(device: str) -> float:
    """Seconds when all work so far is done: on a CPU those that this process computed, so that others do not count."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak_mib(device: str, *, reset: bool = False) -> float:
    """The most memory in use so far, MiB; on a GPU since the last reset, where it is what is in use then."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 2**20
