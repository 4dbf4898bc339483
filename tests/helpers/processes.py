"""Processes that tests start."""

from __future__ import annotations

from pathlib import Path

import psutil


def live_processes(folder: Path) -> list[psutil.Process]:
    """Return the live processes that run in a folder."""
    running = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                running.append(process)
        except psutil.Error:
            continue
    return running
