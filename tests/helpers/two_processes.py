"""What each of two processes of torchrun does for the tests of `test_two_processes.py`: all of it in one start."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import torch
from small_norms import example, normed
from trainers import run_alone, trainer

from medcode.engine import distributed, reproducibility
from medcode.layers.batch_norm import MaskedBatchNorm


def train(folder: Path, world: distributed.DistributedContext) -> None:
    """Trains each model that is given, and leaves its weights."""
    inputs, given = pickle.loads((folder / "given").read_bytes())
    for name, (recipe, engine) in given.items():
        running = trainer(inputs, recipe, engine, folder / name / "two", name, context=world)
        run_alone(running)
        if world.is_main:
            torch.save(running.model.state_dict(), folder / name / "weights.pt")


def normalise(folder: Path, world: distributed.DistributedContext) -> None:
    """Normalises this process's share of a batch, and leaves its gradient and the running variance."""
    x, mask = example()
    rows = slice(*world.shard(len(x)))
    layer, own = normed(MaskedBatchNorm), x[rows].clone().requires_grad_()
    layer(own, mask[rows]).sin().sum().backward()
    torch.save({"gradient": own.grad, "variance": layer.running_var}, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    reproducibility.prepare(1)
    with distributed.join(torch.device("cpu")) as joined:
        assert joined.size == 2
        normalise(Path(sys.argv[1]), joined)
        train(Path(sys.argv[1]), joined)
