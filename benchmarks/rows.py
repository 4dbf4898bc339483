"""Markdown tables whose rows are measured in separate processes."""

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
    """Print a table row by row, as soon as each is measured.

    On a CPU each row has a process, because the peak memory of a process cannot be reset. On a GPU all rows share one,
    until a row ends it: after an illegal memory access the device cannot be used by the same process.

    Args:
        columns: headings.
        rows: arguments of `measure`; `str` of a row names it.
        measure: returns the cells of a row; a function of a module, so that another process can import it.
        device: cpu or cuda.

    Raises:
        SystemExit: a row raised a UserError.
    """
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    context, first = multiprocessing.get_context("spawn"), 0
    while first < len(rows):
        group = rows[first : first + 1] if device == "cpu" else rows[first:]
        n_measured = context.Value("i", 0)
        process = context.Process(target=_measure_all, args=(measure, group, n_measured, device))
        process.start()
        process.join()
        first += n_measured.value
        if process.exitcode == USER_ERROR:
            sys.exit(USER_ERROR)
        if process.exitcode:
            print(f"| {rows[first]}: ended with exit code {process.exitcode} |", flush=True)
            first += 1


def _measure_all(
    measure: Callable[[Any], list[str]], rows: Sequence[Any], n_measured: Synchronized, device: str
) -> None:
    for row in rows:
        try:
            cells = measure(row)
        except Exception as error:  # a form may need too much memory, and the device may not support a kernel
            traceback.print_exc()
            cells = [str(row), f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:120]]
        print(f"| {' | '.join(cells)} |", flush=True)
        n_measured.value += 1
        gc.collect()
        if device == "cuda":
            torch.cuda.synchronize()  # fails if the row has left the device in an error state
            torch.cuda.empty_cache()


def clock(device: str) -> float:
    """Time in seconds once all work is done. On a CPU it is the CPU time of this process."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak_mib(device: str, *, reset: bool = False) -> float:
    """Peak memory in MiB of the process, or of a GPU since the last reset, which sets it to the memory in use."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 2**20
