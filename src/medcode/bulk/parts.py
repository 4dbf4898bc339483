"""Prediction of many notes into a folder: one parquet table for each part of the notes, one after another or elsewhere.

A part is predicted as a file is, with its own journal, so that it goes on where it was stopped. It is done once its
counts stand beside its table. What is written does not depend on who predicts which part, or when.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medcode import io
from medcode.bulk.progress import Counts, alone, folder_of
from medcode.bulk.run import Run
from medcode.bulk.sources import Slice, Slices, Sources
from medcode.coder import Coder
from medcode.errors import UserError

NOTES = 10_000  # of a part, about
RUN = "run.json"

Predict = Callable[[Iterable[int]], Iterable[tuple[int, Counts]]]


@dataclass(frozen=True)
class PartsRun:
    """Prediction of the codes of many notes, part by part.

    Args:
        folder: of the output.
        parts: of the notes.
        sources: of the notes.
        options: of `Coder.predict`.
        settings: all that the predictions depend on beside the notes, for JSON.
        window: rows that are predicted and recorded together.
    """

    folder: Path
    parts: Sequence[Sequence[Slice]]
    sources: Sources
    options: dict[str, Any]
    settings: dict[str, Any]
    window: int

    def predict(self, coder: Coder, number: int) -> Counts:
        """Predict one part, on one thread, so that its bits are the same wherever it is predicted.

        Raises:
            UserError: a file of the notes is damaged, another process predicts the part, or it cannot be written.
        """
        torch.set_num_threads(1)
        table = self._table(number)
        run = Run(coder, Slices(self.parts[number], self.sources.columns), self.options, self.window)
        counts = run.to_file(table, self.settings, overwrite=True)  # one without counts beside it is not known as done
        io.write_json(_counts_of(table), dataclasses.asdict(counts))
        return counts

    def run(self, predict: Predict, *, overwrite: bool = False) -> Counts:
        """Predict the parts that are not done yet.

        Args:
            predict: predicts parts, by their numbers, and yields their counts in any order.
            overwrite: replace the output of another run.

        Returns:
            The counts of all parts.

        Raises:
            UserError: the output exists, another process writes it, the stopped run had other settings, or a part
                cannot be predicted.
        """
        with alone(self.folder):
            self._begin(overwrite)
            done = {number: counts for number in range(len(self.parts)) if (counts := self._counts(number))}
            done |= predict(number for number in range(len(self.parts)) if number not in done)
            counts = Counts(
                *map(sum, zip(*(dataclasses.astuple(done[number]) for number in sorted(done)), strict=True))
            )
            self._write_state(dataclasses.asdict(counts))
            shutil.rmtree(folder_of(self.folder))
        return counts

    def _begin(self, overwrite: bool) -> None:
        state = io.read_json(self.folder / RUN) if (self.folder / RUN).exists() else None
        finished = state is not None and state["counts"] is not None
        if finished or (state is None and self.folder.exists() and any(self.folder.iterdir())):
            if not overwrite:
                raise UserError(f"{self.folder}: exists; --overwrite replaces it")
            if state is None:
                raise UserError(f"{self.folder}: was not written by this command, so it is not replaced")
            shutil.rmtree(self.folder)
        elif state is not None:
            begun, now = state["settings"], self._settings()
            if other := sorted(name for name in {*begun, *now} if begun.get(name) != now.get(name)):
                raise UserError(
                    f"{self.folder}: a run was stopped that had other {', '.join(other)}; give the same to go on, or "
                    f"remove the folder to begin again"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_state(None)

    def _settings(self) -> dict[str, Any]:
        return self.settings | {"notes": self.sources.fingerprint(), "notes at a time": self.window}

    def _write_state(self, counts: dict[str, int] | None) -> None:
        io.write_json(self.folder / RUN, {"settings": self._settings(), "parts": len(self.parts), "counts": counts})

    def _counts(self, number: int) -> Counts | None:
        path = _counts_of(self._table(number))
        return Counts(**io.read_json(path)) if path.exists() else None

    def _table(self, number: int) -> Path:
        return self.folder / f"part-{number:05}.parquet"


def _counts_of(table: Path) -> Path:
    return table.with_suffix(".json")


def one_after_another(run: PartsRun, coder: Coder) -> Predict:
    """Return what predicts parts here, in this process."""
    return lambda numbers: ((number, run.predict(coder, number)) for number in numbers)
