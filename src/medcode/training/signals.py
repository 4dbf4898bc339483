"""Handling of signals that ask a training to stop."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignal:
    """Context that records SIGTERM or SIGINT, so that the step can be finished and saved before the process ends.

    `received` is the number of the signal, or None.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> StopSignal:
        self._handlers = {number: signal.signal(number, self._remember) for number in self.SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
