"""Workers of Ray on this machine."""

from __future__ import annotations

import psutil


def workers(doing: str) -> list[psutil.Process]:
    """Return the processes of workers in whose title a word stands, such as the name of a function."""
    found = []
    for process in psutil.process_iter():
        try:
            title = process.cmdline()[:1]
        except psutil.Error:
            continue
        if title and title[0].startswith("ray::") and doing in title[0]:
            found.append(process)
    return found
