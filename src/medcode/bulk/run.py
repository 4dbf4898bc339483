"""The run over many notes: windows of rows are read, predicted and written one after another."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from medcode.bulk.outputs import OUTPUTS, Output, csv_line, write_parquet
from medcode.bulk.progress import Counts, Progress, alone, folder_of, rejects_of
from medcode.bulk.rows import Row
from medcode.bulk.sources import Position, Slices
from medcode.coder import Coder
from medcode.errors import UserError
from medcode.inference.predict import UnreadableNote

WINDOW = 128  # notes that are in memory, are sorted by length, and are lost when a run is killed
REJECT_FIELDS = ("place", "id", "reason")


@dataclass(frozen=True)
class Window:
    """What a window of rows became.

    Attributes:
        predictions: lines of the output.
        rejected: the rows that could not be read, with the reasons.
        position: behind its last row.
    """

    predictions: str
    rejected: list[Row]
    position: Position


@dataclass
class Run:
    """Prediction of the codes of many notes.

    Args:
        coder: predicts.
        sources: of the notes.
        options: of `Coder.predict`.
        window: rows that are predicted and recorded together.
    """

    coder: Coder
    sources: Slices
    options: dict[str, Any] = field(default_factory=dict)
    window: int = WINDOW

    def to_stream(self, stream: TextIO, output: Output) -> Counts:
        """Write the predictions to a stream, and what could not be read to standard error; nothing is recorded."""
        counts = Counts()
        stream.write(output.header)
        for window in self._windows(output, Position(), counts):
            stream.write(window.predictions)
            stream.flush()
            for row in window.rejected:
                print(f"rejected: {row.place}: {row.reason}", file=sys.stderr)
        return counts

    def to_file(self, path: Path, settings: dict[str, Any], *, overwrite: bool = False) -> Counts:
        """Write the predictions to a file, and what could not be read beside it; go on where such a run was stopped.

        Args:
            path: of the output; its ending is one of `OUTPUTS`.
            settings: all that the predictions depend on beside the notes, for JSON.
            overwrite: replace the output if it exists.

        Raises:
            UserError: the output exists or cannot be written, another process writes it, the stopped run had other
                settings, or a file of the notes is damaged.
        """
        output = OUTPUTS[path.suffix]
        finish = write_parquet if path.suffix == ".parquet" else None
        settings = settings | {"notes": self.sources.fingerprint(), "notes at a time": self.window}
        is_new = not folder_of(path).exists()
        if is_new and not overwrite:
            _check_absent(path)
        with alone(path):
            progress = Progress(path, settings, (output.header, csv_line(REJECT_FIELDS)))
            try:
                if not progress.finished:
                    if not overwrite:
                        _check_absent(path)
                    self._continue(progress, output)
                progress.finish(finish)
            finally:
                progress.close()
        return progress.counts

    def _continue(self, progress: Progress, output: Output) -> None:
        if progress.counts.notes:
            print(f"note: goes on after {progress.counts.notes:,} notes", file=sys.stderr)
        try:
            for window in self._windows(output, progress.position, progress.counts):
                rejects = "".join(csv_line((row.place, row.id or "", row.reason)) for row in window.rejected)
                progress.write(window.predictions, rejects, window.position)
        except KeyboardInterrupt:
            print("note: stopped; the same command goes on", file=sys.stderr)
            raise

    def _windows(self, output: Output, start: Position, counts: Counts) -> Iterator[Window]:
        rows = self.sources.rows(start)
        with tqdm(
            desc="predict", unit="note", total=self.sources.count(), initial=counts.notes, disable=None, file=sys.stderr
        ) as bar:
            while part := list(itertools.islice(rows, self.window)):
                window = self._predicted(part, output, counts)
                yield window
                bar.update(len(part))

    def _predicted(self, part: list[tuple[Row, Position]], output: Output, counts: Counts) -> Window:
        readable = [row for row, _ in part if row.text is not None]
        predictions = iter(self.coder.try_predict([row.text or "" for row in readable], **self.options))
        lines, rejected = [], []
        for row, _ in part:
            if row.text is None:
                rejected.append(row)
                continue
            result = next(predictions)
            if isinstance(result, UnreadableNote):
                rejected.append(row._replace(text=None, reason=str(result)))
                continue
            counts.truncated += result.words_read < result.words
            counts.mostly_unknown += result.mostly_unknown
            counts.unusual_length += result.is_unusual_length
            lines.append(output.encode(row.id or "", row.text, result))
        counts.notes += len(part)
        counts.rejected += len(rejected)
        return Window("".join(lines), rejected, part[-1][1])


def _check_absent(path: Path) -> None:
    for existing in (path, rejects_of(path)):
        if existing.exists():
            raise UserError(f"{existing}: exists; --overwrite replaces it")
