"""Checkpoints from which a killed run goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from medcode import io
from medcode.errors import UserError


def fingerprint(settings: dict[str, Any], inputs: list[Path], model: torch.nn.Module) -> str:
    """Identifies a training: two runs with one fingerprint compute the same weights.

    Covers the settings, the content of the inputs that training reads, and the source of every module of this package
    that is loaded, the model's among them.

    Args:
        settings: everything of params.yaml that training depends on.
        inputs: data/inputs, and other folders that training reads.
        model: its class is part of the fingerprint.
    """
    digest = hashlib.sha256(json.dumps([settings, type(model).__name__, torch.__version__], sort_keys=True).encode())
    modules = sorted((name, module) for name, module in sys.modules.items() if name.split(".")[0] == "medcode")
    sources = [Path(module.__file__) for _, module in modules if getattr(module, "__file__", None)]
    files = (path for folder in inputs for path in sorted(folder.rglob("*")) if path.is_file())
    read = [path for path in files if path.parent.name != "test"]
    for path in [*sources, *read]:
        with open(path, "rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    `state.pt` holds the last state; the weights of the best epoch are a file of their own, which the state names, so
    that the state always finds the weights that it means.

    Args:
        folder: where this training's checkpoints are, created when needed.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process from training the same thing here.

        Raises:
            UserError: another process holds the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise UserError(
                    f"{self.folder}: process {file.read().strip() or 'unknown'} is training this very model; "
                    "wait for it or stop it"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the last state by this one."""
        with io.atomic_write(self.folder / "state.pt") as file:
            torch.save(state, file)
        for old in self.folder.glob("best-*.pt"):
            if old.name != self._best(state["best_epoch"]).name:
                old.unlink()

    def load(self) -> dict[str, Any] | None:
        """Returns the last state, or None where there is none.

        Raises:
            UserError: the file is damaged.
        """
        return self._read(self.folder / "state.pt") if (self.folder / "state.pt").exists() else None

    def save_best(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Keeps the weights of an epoch, beside those of the best epoch before it until the next `save`."""
        with io.atomic_write(self._best(epoch)) as file:
            torch.save(weights, file)

    def load_best(self, epoch: int) -> dict[str, torch.Tensor]:
        """Returns the weights of the best epoch."""
        return self._read(self._best(epoch))

    def remove(self) -> None:
        """Removes the folder, once the training's result is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.pt"

    def _read(self, path: Path) -> Any:
        try:
            with open(path, "rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(f"{path}: damaged checkpoint; delete {self.folder} and train anew") from error
