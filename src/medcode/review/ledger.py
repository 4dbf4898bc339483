"""The ledger: every decision of a review, a line of JSON each, on the disk before the page gets its answer.

    {"medcode_review_ledger": 1}
    {"number": 1, "time": "2026-11-28T09:30:00Z", "note": "17", "action": "accept",
     "codes": [{"system": "icd10cm", "code": "I10", "probability": 0.91}], "text": "5d1e...", "model": "3f0c..."}

A ledger has no text of notes, but a digest of the text that was decided on. Lines are only added: an undo is a line
too. A process that is killed while it writes leaves a line without its end, which nobody was told is saved: it is cut
off when the ledger is opened again.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medcode.errors import UserError
from medcode.review.decisions import Action, CodeDecision, State

HEADER = b'{"medcode_review_ledger": 1}\n'


class Line(BaseModel):
    """A line of the ledger.

    Attributes:
        number: of the line among the decisions, from 1.
        time: in UTC, to the second.
        note: its id.
        action: what was decided, or `undo`.
        codes: that it is about.
        undoes: the number of the line that an `undo` takes back.
        text: digest of the note's text, by which another text under the same id is found.
        model: digest of the model that predicted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: Annotated[int, Field(ge=1)]
    time: str
    note: str
    action: Action | Literal["undo"]
    codes: tuple[CodeDecision, ...] = ()
    undoes: int | None = None
    text: str | None = None
    model: str


class Ledger:
    """A ledger that is open for writing. Threads may share it, processes may not.

    Args:
        path: of the file, which is made if it is missing.
        model: digest of the model that predicts.

    Attributes:
        state: of all notes.
        cut: bytes of a torn last line that were cut off.

    Raises:
        UserError: another process has it open, it is no ledger, damaged, or cannot be written.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self._model = path.resolve(), model
        self._mutex = threading.Lock()
        self._file: IO[bytes] | None = None
        self._process_lock = _locked(self.path)
        try:
            self.state, self._number, length = _replayed(self.path)
            self.cut = self.path.stat().st_size - length if self.path.exists() else 0
            self._file = self._opened(length)
        except BaseException:
            self._process_lock.release()
            raise

    def _opened(self, length: int) -> IO[bytes]:
        try:
            file = open(self.path, "ab", buffering=0, opener=_for_its_owner)  # noqa: SIM115
            file.truncate(length)
            if not length:
                file.write(HEADER)
            os.fsync(file.fileno())
            _sync_folder(self.path.parent)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror or error})") from error
        return file

    def decide(self, note: str, action: Action, codes: Sequence[CodeDecision] = (), text: str | None = None) -> None:
        """Record a decision; it is on the disk when this returns.

        Args:
            note, action, codes: as in `Line`.
            text: of the note. Only its digest is written.

        Raises:
            UserError: it could not be written. Nothing is changed then.
        """
        with self._mutex:
            digest = None if text is None else text_digest(text)
            self._append(Line(**self._start(note), action=action, codes=tuple(codes), text=digest))

    def undo(self) -> str | None:
        """Take back the last decision that holds; return the id of its note, None if there is none.

        Raises:
            UserError: it could not be written. Nothing is changed then.
        """
        with self._mutex:
            last = self.state.last
            if last is not None:
                self._append(Line(**self._start(last.note), action="undo", undoes=last.number))
            return None if last is None else last.note

    def _start(self, note: str) -> dict:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"number": self._number + 1, "time": now, "note": note, "model": self._model}

    def _append(self, line: Line) -> None:
        file = self._file
        if file is None:
            raise UserError(f"{self.path}: the ledger is closed")
        content = line.model_dump_json(exclude_none=True).encode() + b"\n"
        before = os.fstat(file.fileno()).st_size
        try:
            if file.write(content) != len(content):
                raise OSError("the disk is full")
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            raise UserError(f"{self.path}: could not be written ({error.strerror or error}); not saved") from error
        self._number = line.number
        _apply(self.state, line)

    def close(self) -> None:
        """Close the file, and let other processes open it."""
        with self._mutex:
            if self._file is not None:
                self._file.close()
                self._file = None
                self._process_lock.release()


def text_digest(text: str) -> str:
    """Return a digest of the text of a note, 16 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read(path: Path) -> State:
    """Return the state of all notes, without changing the file or waiting for who writes it.

    Raises:
        UserError: there is no such file, it is no ledger, or damaged.
    """
    if not path.exists():
        raise UserError(f"{path}: no such ledger; --ledger names the file that a review has written")
    return _replayed(path)[0]


def _replayed(path: Path) -> tuple[State, int, int]:
    """Return the state, the number of decisions, and the bytes of all complete lines."""
    state, number = State(), 0
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not content.startswith(HEADER):
        if HEADER.startswith(content):
            return state, 0, 0
        raise UserError(f"{path}: no ledger of a review; name another file with --ledger")
    complete = content.rfind(b"\n") + 1
    for number, text in enumerate(content[len(HEADER) : complete].splitlines(), start=1):
        try:
            line = Line.model_validate_json(text)
            if line.number != number:
                raise ValueError("a line before it is missing")
            _apply(state, line)
        except ValueError as error:
            reason = "not as a review writes it" if isinstance(error, ValidationError) else str(error)
            raise UserError(f"{path}: line {number + 1}: damaged ({reason})") from error
    return state, number, complete


def _apply(state: State, line: Line) -> None:
    if line.action == "undo":
        state.undo(line.undoes)
    else:
        state.decide(line.number, line.note, line.action, line.codes, line.text)


def _locked(path: Path) -> FileLock:
    # Never a soft lock, a file whose existence is the lock: that of a killed process would stay.
    lock = FileLock(path.with_name(f".{path.name}.lock"), fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{path}: another review has this ledger open; end it, or name another with --ledger") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    return lock


def _for_its_owner(path: str, flags: int) -> int:
    """Open a file that, if it is new, no other user may read: it has the ids of notes."""
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    """Write a folder's list of files to the disk, without which a new file may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
