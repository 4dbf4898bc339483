"""A port that nothing uses."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as bound:
        bound.bind(("localhost", 0))
        return bound.getsockname()[1]
