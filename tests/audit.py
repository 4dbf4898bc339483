"""What every stage opens and calls, noted by a hook in each of its processes."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOOK = """
    import atexit, inspect, json, os, sys, threading

    opened, called = [], set()

    def trace(frame, event, argument):
        if event == "call":
            called.add(frame.f_code)

    def note(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes)) and "__pycache__" not in str(arguments[0]):
            path, mode, flags = arguments
            write = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or any(c in (mode or "r") for c in "wax+")
            opened.append((os.path.abspath(os.fsdecode(path)), write))
        elif event == "os.rename":
            opened.append((os.path.abspath(os.fsdecode(arguments[1])), True))

    def report():
        sys.setprofile(None)
        # Bodies of classes run when they are imported; what matters is which functions are called.
        functions = [code for code in list(called) if code.co_flags & inspect.CO_OPTIMIZED]
        names = sorted({(code.co_filename, code.co_qualname) for code in functions})
        record = {"command": sys.argv, "opened": opened, "called": names}
        with open(os.path.join(os.environ["AUDIT"], f"{os.getpid()}.json"), "w") as file:
            json.dump(record, file)

    if sys.argv and os.path.basename(os.path.dirname(os.path.abspath(sys.argv[0]))) == "stages":
        sys.addaudithook(note)
        atexit.register(report)
        threading.setprofile(trace)
        sys.setprofile(trace)
"""


class Audit:
    """Notes what the stages of a project do while it runs with these `variables`.

    Args:
        notes: a folder for the notes of one run.
        project: the root of the project.
    """

    def __init__(self, notes: Path, project: Path) -> None:
        self.notes, self.project = notes, project
        hook = notes / "hook"
        hook.mkdir(parents=True)
        (hook / "sitecustomize.py").write_text(textwrap.dedent(HOOK))
        path = os.pathsep.join([str(hook), str(project / "src")])
        self.variables = {"AUDIT": str(notes), "PYTHONPATH": path}

    @classmethod
    def at(cls, notes: Path, project: Path) -> Audit:
        """The notes of a run that is over."""
        audit = object.__new__(cls)
        audit.notes, audit.project = notes, project
        return audit

    def records(self) -> Iterator[dict[str, Any]]:
        """The notes of each process: its command, {path: written} and {(path, function)} within the project."""
        for file in sorted(self.notes.glob("*.json")):
            noted = json.loads(file.read_text())
            files: dict[str, bool] = {}
            for path, written in noted["opened"]:
                if Path(path).is_relative_to(self.project):
                    name = str(Path(path).relative_to(self.project))
                    files[name] = files.get(name, False) or written
            called = {
                (str(Path(path).relative_to(self.project)), function.split(".")[0])
                for path, function in noted["called"]
                if Path(path).is_relative_to(self.project) and not function.startswith("<")
            }
            command = [part.removeprefix(f"{self.project}/") for part in noted["command"]]
            yield {"command": command, "opened": files, "called": called}
