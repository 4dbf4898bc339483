"""Script that each of two torchrun processes runs for the tests of `test_two_processes.py`.

Its argument is a folder with the file `given`. With a second argument, a number of steps, each training is left after
these, with a checkpoint.
"""

from __future__ import annotations

import itertools
import pickle
import sys
from pathlib import Path

import torch
from small_norms import example, normed
from trainers import run_alone, steps, trainer

from medcode.engine import distributed, reproducibility
from medcode.layers.batch_norm import MaskedBatchNorm


def train(folder: Path, world: distributed.DistributedContext, leave_after: int) -> None:
    """Do the trainings in the file `given`, and write the weights of their models."""
    inputs, trainings = pickle.loads((folder / "given").read_bytes())
    for name, (model, recipe, engine) in trainings.items():
        running = trainer(inputs, recipe, engine, folder / name / "two", model, context=world)
        if leave_after:
            for _ in itertools.islice(steps(running), leave_after):
                pass
            running.save()
            continue
        run_alone(running)
        if world.is_main:
            torch.save(running.model.state_dict(), folder / name / "weights.pt")


def normalize(folder: Path, world: distributed.DistributedContext) -> None:
    """Normalize this process's share of a batch, and write its gradient and the running variance."""
    x, mask = example()
    rows = slice(*world.shard(len(x)))
    layer, share = normed(MaskedBatchNorm), x[rows].clone().requires_grad_()
    layer(share, mask[rows]).sin().sum().backward()
    torch.save({"gradient": share.grad, "variance": layer.running_var}, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    reproducibility.prepare(1)
    with distributed.join(torch.device("cpu")) as joined:
        assert joined.size == 2
        normalize(Path(sys.argv[1]), joined)
        train(Path(sys.argv[1]), joined, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
