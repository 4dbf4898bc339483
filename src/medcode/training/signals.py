"""A request to stop, heard between two steps."""

from __future__ import annotations

import signal
from types import FrameType


class Interruption:
    """Notes SIGTERM and SIGINT while it is entered, so that a step can be finished and saved first.

    `signal` is the number of the signal received, or None.
    """

    HEARD = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._note) for number in self.HEARD}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
