"""What a run has written so far: a folder beside its output, from which it goes on after it was stopped or killed.

`OUTPUT.part` holds the predictions, the rejected rows, and a journal. The journal says up to which row of the notes all
is written, and how long both files were then. It is replaced as a whole after both files are on the disk. A run that
goes on cuts them to these lengths, so that nothing is lost and nothing comes twice. At the end they are moved to their
places, first the rejects, then the predictions: an output that exists is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from medcode import io
from medcode.bulk.sources import Position
from medcode.errors import UserError

PREDICTIONS, REJECTS, JOURNAL, LOCK = "predictions", "rejects.csv", "journal.json", "lock"


@dataclass
class Counts:
    """Numbers of notes.

    Attributes:
        notes: that were read, with those that could not be.
        rejected: that could not be read.
        truncated: of which the model read the beginning only.
        mostly_unknown: of which the model does not know most words.
        unusual_length: that are shorter or longer than every note of dev.
    """

    notes: int = 0
    rejected: int = 0
    truncated: int = 0
    mostly_unknown: int = 0
    unusual_length: int = 0


class Progress:
    """The files of a run, opened to go on.

    Args:
        output: of the run. Its rejects come beside it.
        settings: all that the predictions depend on, for JSON. A run goes on only with the same.
        headers: the first lines of the predictions and of the rejects.

    Attributes:
        position: up to which the rows are done.
        counts: of these rows.

    Raises:
        UserError: the folder was begun with other settings, is damaged, or cannot be written.
    """

    def __init__(self, output: Path, settings: dict[str, Any], headers: tuple[str, str]) -> None:
        self._folder, self._output, self._settings = folder_of(output), output, settings
        journal = self._journal()
        self.position = Position(*journal["position"])
        self.counts = Counts(**journal["counts"])
        self.finished: bool = journal["finished"]
        self._files: list[IO[bytes]] = []
        if not self.finished:
            self._files = [
                self._reopened(name, length, header)
                for name, length, header in zip((PREDICTIONS, REJECTS), journal["bytes"], headers, strict=True)
            ]

    def _journal(self) -> dict[str, Any]:
        path = self._folder / JOURNAL
        if not path.exists():
            counts = dataclasses.asdict(Counts())
            return {"position": Position(), "bytes": (0, 0), "counts": counts, "finished": False}
        journal = io.read_json(path)
        settings = journal["settings"]
        other = sorted(name for name in {*settings, *self._settings} if settings.get(name) != self._settings.get(name))
        if other:
            raise UserError(
                f"{self._folder}: a run was stopped that had other {', '.join(other)}; give the same to go on, or "
                f"remove the folder to begin again"
            )
        return journal

    def _reopened(self, name: str, length: int, header: str) -> IO[bytes]:
        file = open(self._folder / name, "ab")  # noqa: SIM115
        if file.tell() < length:
            file.close()
            raise UserError(f"{self._folder / name}: shorter than it was; remove the folder to begin again")
        file.truncate(length)
        file.seek(length)
        if not length:
            file.write(header.encode())
        return file

    def write(self, predictions: str, rejects: str, position: Position) -> None:
        """Add lines to both files, and record that all rows before a position are done.

        Raises:
            UserError: the disk is full.
        """
        try:
            for file, lines in zip(self._files, (predictions, rejects), strict=True):
                file.write(lines.encode())
            self._record(position)
        except OSError as error:
            raise UserError(f"{self._folder}: could not be written ({error.strerror or error})") from error

    def _record(self, position: Position, *, finished: bool = False) -> None:
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        self.position = position
        io.write_json(self._folder / JOURNAL, {
            "settings": self._settings,
            "position": list(position),
            "bytes": [file.tell() for file in self._files],
            "counts": dataclasses.asdict(self.counts),
            "finished": finished,
        })  # fmt: skip

    def finish(self, write: Callable[[Path, Path], None] | None = None) -> None:
        """Move both files to their places, and remove the folder.

        Args:
            write: writes the output from the file of predictions, where that is not the output itself.

        Raises:
            UserError: the output cannot be written.
        """
        if not self.finished:
            self._record(self.position, finished=True)
        self.close()
        predictions, rejects = self._folder / PREDICTIONS, self._folder / REJECTS
        try:
            if not self.counts.rejected:
                rejects_of(self._output).unlink(missing_ok=True)
            elif rejects.exists():
                os.replace(rejects, rejects_of(self._output))
            if write is not None:
                write(predictions, self._output)
            elif predictions.exists():
                os.replace(predictions, self._output)
        except OSError as error:
            raise UserError(f"{self._output}: could not be written ({error.strerror or error})") from error
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Close the files, which can be gone on with."""
        for file in self._files:
            file.close()
        self._files = []


def folder_of(output: Path) -> Path:
    """Return the folder of what a run has written so far."""
    return output.with_name(f"{output.name}.part")


def rejects_of(output: Path) -> Path:
    """Return the file of the rows that could not be read."""
    return output.with_name(f"{output.stem}.rejects.csv")


@contextlib.contextmanager
def alone(output: Path) -> Iterator[None]:
    """Keep other processes from writing the same output.

    Raises:
        UserError: another one does, or the folder cannot be made.
    """
    folder = folder_of(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Never a soft lock, a file whose existence is the lock: that of a killed process would stay.
        lock = FileLock(folder / LOCK, fallback_to_soft=False)
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{output}: another process is writing it") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror or error})") from error
    try:
        yield
    finally:
        lock.release()
