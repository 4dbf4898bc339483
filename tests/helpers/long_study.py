"""A study of trainings that last long enough to be stopped, and its command as from a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from workflow import Project

RUNS = "studies/long/runs/synthetic-mimic3/top50"
PATIENCE = 300  # seconds


class LongStudy:
    """A project with a study of small CAMLs, a row each, that are trained for a number of epochs.

    Args:
        folder: of the project.
        rows: their names.
        epochs: of each training.
    """

    def __init__(self, folder: Path, rows: Sequence[str], epochs: int) -> None:
        self.project, self.rows = Project(folder), rows
        self.folder = self.project.folder
        self.define(epochs)

    def define(self, epochs: int) -> None:
        """Write study.yaml."""
        path = self.folder / "studies/long/study.yaml"
        path.parent.mkdir(exist_ok=True)
        content = {
            "title": "A study of trainings that last",
            "paper": "mt-ram",
            "tables": ["table3"],
            "corpus": "synthetic-mimic3",
            "seeds": [1],
            "settings": {"recipe": "quick", "models.*.recipes.*.epochs": epochs, "models.*.recipes.*.patience": None},
            "rows": {
                name: {"title": name, "settings": {"model": "caml", "models.*.options.filters": 6 + place}}
                for place, name in enumerate(self.rows)
            },
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def start(self, *options: str) -> subprocess.Popen:
        """Start the study as from a terminal, in a new process group; remove the logs of the last start."""
        for log in self.logs():
            log.unlink()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "DVC_NO_ANALYTICS": "true"}
        return subprocess.Popen(
            [sys.executable, "-m", "medcode", "study", "long", "--run", *options],
            cwd=self.folder, env=os.environ | variables, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def logs(self) -> list[Path]:
        return list(self.folder.glob(f"{RUNS}/*/1/epochs.jsonl"))

    def epochs(self) -> dict[str, int]:
        """Return the number of epochs in the log, for each row that has started to train."""
        return {log.parts[-3]: len(log.read_text().splitlines()) for log in self.logs()}

    def wait_until(self, study: subprocess.Popen, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait until something holds of the epochs of a study that runs, and return them."""
        end = time.monotonic() + PATIENCE
        while not holds(epochs := self.epochs()):
            assert study.poll() is None and time.monotonic() < end, study.communicate()[0]
            time.sleep(0.05)
        return epochs
