"""Trainings that are killed while writing a checkpoint, each in a process forked after the imports."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import sys
from io import BytesIO
from pathlib import Path

import torch
from trainers import run_alone, trainer

from medcode.engine import reproducibility


def train_until_killed(folder: Path, write: int) -> None:
    """Train, and kill its process when half of checkpoint number `write` is on disk."""
    inputs, recipe, engine = pickle.loads((folder / "given").read_bytes())
    reproducibility.prepare(1)
    save, writes = torch.save, itertools.count(1)

    def save_half(state, file):
        if next(writes) < write:
            return save(state, file)
        content = BytesIO()
        save(state, content)
        file.write(content.getvalue()[: len(content.getvalue()) // 2])
        file.flush()
        return os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    run_alone(trainer(inputs, recipe, engine, folder / str(write)))


if __name__ == "__main__":
    for number in map(int, sys.argv[2:]):
        child = os.fork()
        if child == 0:
            train_until_killed(Path(sys.argv[1]), number)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, "it was not killed"
