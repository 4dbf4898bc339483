"""The learning curve as a table, and a log of how long epochs took."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from medcode import io


def write_curve(path: str | os.PathLike, history: list[dict[str, float]]) -> None:
    """Writes one line an epoch, replacing the file."""
    io.write_csv(path, history, list(history[0]) if history else ["epoch"])


def append_log(path: str | os.PathLike, record: dict[str, Any]) -> None:
    """Appends one JSON line to a log that no stage reads; seconds and the like belong there, not in metrics."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
