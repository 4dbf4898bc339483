"""Time that a training takes, on the clock and on the CPU."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from medcode.training.state import Row


@contextlib.contextmanager
def timed(times: Row) -> Iterator[None]:
    """Add the time of a block to `times`: `seconds` on the clock, `cpu_seconds` of all threads of this process.

    CPU seconds say what a training costs, whatever else runs on the machine. Those of other processes that train
    together are not in them.
    """
    clock, cpu = time.perf_counter(), time.process_time()
    yield
    times["seconds"] = times.get("seconds", 0.0) + time.perf_counter() - clock
    times["cpu_seconds"] = times.get("cpu_seconds", 0.0) + time.process_time() - cpu
