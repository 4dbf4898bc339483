"""Processes that tests start."""

from __future__ import annotations

from pathlib import Path

import psutil


def at_work(folder: Path) -> list[psutil.Process]:
    """The processes of the folder that have not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found
