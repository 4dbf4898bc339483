"""Checkpoints, from which a killed run resumes with the same result.

The checkpoint of a finished training stays, much smaller: should DVC fail to record the result, the same training ends
at once with the same weights. The next training that has no use for it removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from medcode import io
from medcode.engine.distributed import DistributedContext
from medcode.errors import UserError

STATE, FINISHED, LOCK, PROCESS = "state.pt", "finished.txt", "lock", "process.txt"


def fingerprint(settings: dict[str, Any], paths: list[Path], model: torch.nn.Module) -> str:
    """Identify a training: two runs with one fingerprint compute the same weights.

    But for rounding, where different numbers of processes share the batches.

    Args:
        settings: everything of params.yaml and of the model's file that training depends on.
        paths: files and folders that training depends on: digests of the code that it runs, data/inputs and the like.
            The test split does not count.
        model: its class is part of the fingerprint.
    """
    digest = hashlib.sha256(json.dumps([settings, type(model).__name__, torch.__version__], sort_keys=True).encode())
    files = (file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))))
    for path in files:
        if path.is_file() and path.parent.name != "test" and path.name != io.EMPTY:
            with open(path, "rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    `state.pt` holds the last state. The weights of the best epoch are a separate file, named after the epoch in the
    state, so that state and weights always fit. `finished.txt` marks a finished training and names the model folder
    that it wrote.

    Args:
        folder: where this training's checkpoints are, created when needed.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of this folder, so that no second process trains the same model here.

        Raises:
            UserError: another process holds the lock.
        """
        lock, process = _file_lock(self.folder / LOCK), self.folder / PROCESS
        with contextlib.ExitStack() as releases:
            with _exclusive(self.folder.parent):
                self.folder.mkdir(exist_ok=True)
                if not _acquire(lock):
                    raise UserError(
                        f"{self.folder}: process {_content(process) or 'unknown'} is already training this model; "
                        "wait for it or stop it"
                    )
                releases.callback(lock.release)
                if not (self.folder / STATE).exists():  # a removal was cut short, and this training begins again
                    (self.folder / FINISHED).unlink(missing_ok=True)
                process.write_text(str(os.getpid()), encoding="utf-8")
                releases.callback(process.unlink, missing_ok=True)
            yield

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Replace the last checkpoint. Its key `state` is a `TrainState` as a mapping."""
        with io.atomic_write(self.folder / STATE) as file:
            torch.save(checkpoint, file)
        for old in self.folder.glob("best-*.pt"):
            if old.name != self._best(checkpoint["state"]["best_epoch"]).name:
                old.unlink()

    def load(self) -> dict[str, Any] | None:
        """Return the last state, or None where there is none.

        Raises:
            UserError: the file is damaged.
        """
        return self._read(self.folder / STATE) if (self.folder / STATE).exists() else None

    def save_best(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Write the weights of an epoch. Those of the previous best epoch stay until the next `save`."""
        with io.atomic_write(self._best(epoch)) as file:
            torch.save(weights, file)

    def load_best(self, epoch: int) -> dict[str, torch.Tensor]:
        """Return the weights of the best epoch."""
        return self._read(self._best(epoch))

    def finish(self, model: Path) -> None:
        """Mark the training as finished, and drop everything but the state and the best weights.

        A process that is killed in between leaves more files, but none that are wrong: the last state says that
        training has ended.

        Args:
            model: the model folder that the training wrote.

        Raises:
            UserError: a file cannot be written.
        """
        io.write_text(self.folder / FINISHED, f"{model}\n")
        self.save({"state": self._read(self.folder / STATE)["state"]})

    def remove(self) -> None:
        """Remove the folder.

        The state goes first, because no training must resume from it without the rest. The mark of a finished training
        goes last, so that the next process completes a removal that was cut short.
        """
        for path in sorted(self.folder.iterdir(), key=lambda path: (path.name == FINISHED, path.name != STATE)):
            path.unlink()
        self.folder.rmdir()

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.pt"

    def _read(self, path: Path) -> Any:
        try:
            with open(path, "rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(f"{path}: damaged checkpoint; delete {self.folder} and train again") from error


def checkpoint_of_all(checkpoints: Checkpoints, context: DistributedContext) -> dict[str, Any] | None:
    """Return the checkpoint from which all processes of a training go on, or None where there is none of use.

    Another number of processes may go on with a training. One that has ended with another number is of no use: the sums
    of more processes may differ in the last digits.

    Raises:
        UserError: the file is damaged; a process sees another training, or another checkpoint, than the main one.
    """
    checkpoint = checkpoints.load()
    if checkpoint is not None:
        state = checkpoint["state"]
        if state["stopped"] and state.get("processes", 1) != context.size:
            checkpoint = None
    seen = [checkpoints.folder.name, None if checkpoint is None else checkpoint["state"]["global_step"]]
    if context.broadcast(seen) != seen:
        raise UserError(
            f"{checkpoints.folder}: this machine does not see the data, the code or the checkpoint that the first one "
            "does; all machines need the project on one disk, and one version of torch"
        )
    return checkpoint


def remove_finished(root: Path, model: Path) -> None:
    """Remove the checkpoints of finished trainings that are no longer needed.

    These are the ones whose model folder is missing, or is about to be written. Checkpoints that a live process has
    locked stay, and so do those of unfinished trainings, which can be resumed.

    Args:
        root: the folder that holds the folders of all trainings.
        model: the model folder of the training that begins.
    """
    with _exclusive(root):
        for mark in sorted(root.glob(f"*/{FINISHED}")):
            model_folder = Path(mark.read_text(encoding="utf-8").strip())
            if model_folder.exists() and model_folder.resolve() != model.resolve():
                continue
            lock = _file_lock(mark.with_name(LOCK))
            if _acquire(lock):
                lock.release()  # Windows removes no open file, and no process can take the lock meanwhile
                Checkpoints(mark.parent).remove()


@contextlib.contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """Hold a lock on the folder of all checkpoints.

    Without it, a process could lock the folder of a training while another removes it.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _file_lock(root / LOCK):
        yield


def _file_lock(path: Path) -> FileLock:
    # Never a soft lock, a file whose existence is the lock: that of a killed process would stay.
    return FileLock(path, fallback_to_soft=False)


def _acquire(lock: FileLock) -> bool:
    """Take a lock without waiting, and return whether it was free."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
