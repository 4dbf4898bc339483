"""The learning curve as a table, and a log of epoch times."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from medcode import io
from medcode.evaluation import seeds
from medcode.training.state import Row, TrainState

History = list[Row]


class HistoryWriter:
    """Reports every epoch as it ends: on the terminal, in the log, and in the table of the learning curve.

    Epochs before an interruption are in the log once: a log that is not there yet gets them when the training resumes,
    as where DVC removes the file before it runs a stage again.

    With several seeds each row of the table is a mean over the trainings that reached the epoch, with their number.

    Args:
        table: file of the learning curve.
        log: file to append lines to.
        model: its name, for the log.
        several: whether there is more than one seed.
    """

    def __init__(self, table: Path, log: Path, model: str, *, several: bool) -> None:
        self.table, self.log, self.model, self.several = table, log, model, several
        self.histories: dict[int, History] = {}
        self.log_is_new = not log.exists()

    def on_epoch(self, seed: int, history: History, times: Row) -> None:
        """Write the learning curve of a seed so far, and log and print its last epoch, which took `times`."""
        self._write_curve(seed, history)
        self._log(seed, history[-1], times)
        row = history[-1]
        metrics = "  ".join(f"{k} {v:.4f}" for k, v in row.items() if k not in ("epoch", "level", "learning_rate"))
        level = f"  level {row['level']}" if "level" in row else ""
        self._print(seed, f"epoch {row['epoch']:>3}{level}  {metrics}  {times['seconds']:.1f} s")

    def on_resume(self, seed: int, state: TrainState, folder: Path) -> None:
        """Write the learning curve, and print where a training resumes, or that it has ended already.

        Epochs and steps count from 1.
        """
        self._write_curve(seed, state.history)
        if self.log_is_new:
            for row, times in zip(state.history, state.epoch_times, strict=True):
                self._log(seed, row, times)
        if state.stopped:
            message = f"already trained: ended at epoch {state.epoch} ({state.stopped})"
            self._print(seed, f"{message}; remove {folder} to train it again")
        else:
            self._print(seed, f"resumed at epoch {state.epoch + 1}, step {state.step_in_epoch + 1}")

    def _write_curve(self, seed: int, history: History) -> None:
        self.histories[seed] = history
        write_curve(self.table, seeds.mean_curve(self.histories.values()) if self.several else history)

    def _log(self, seed: int, row: Row, times: Row) -> None:
        of_seed = {"seed": seed} if self.several else {}
        rounded = {name: round(value, 2) for name, value in times.items()}
        append_log(self.log, {"model": self.model, **of_seed, **rounded, **row})

    def _print(self, seed: int, line: str) -> None:
        print(f"seed {seed}  {line}" if self.several else line, flush=True)


def write_curve(path: str | os.PathLike, history: History) -> None:
    """Write one line per epoch, replacing the file."""
    io.write_csv(path, history, list(history[0]) if history else ["epoch"])


def append_log(path: str | os.PathLike, record: dict[str, Any]) -> None:
    """Append one JSON line to a log that no stage reads. Seconds and the like belong there, not in metrics."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
