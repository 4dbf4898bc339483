"""Small trainings for tests of the training loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from medcode import models
from medcode.config import Recipe, Training, configure
from medcode.dataset.arrays import Inputs
from medcode.encoders.outline import Encoder
from medcode.models.inputs import ModelInputs
from medcode.training import multi_seed
from medcode.training.checkpoint import Checkpoints
from medcode.training.state import Result
from medcode.training.trainer import Trainer

# Environment of processes that run a test file as a script: they can import this module.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
}
ARCHITECTURES = {
    "caml": {"filters": 10, "kernel": 4},
    "mt_ram": {"hidden": 4, "bidirectional": True},
    "multirescnn": {"filters": 4, "kernels": [3, 5], "variant": "original"},
    "plm_icd": {"chunk": 16, "variant": "original"},
}


WEIGHTS = {"icd": 0.7, "ccs": 0.3}


def build(inputs: Inputs, recipe: Recipe, name: str = "caml", encoder: Encoder | None = None) -> models.Model:
    config = configure(name, ARCHITECTURES[name] | {"heads": list(inputs.heads)}, recipe)
    torch.manual_seed(0)
    vectors = torch.from_numpy(inputs.vectors)
    text = {"vocab_size": len(vectors), "vectors": vectors} if encoder is None else {"encoder": encoder}
    return models.find(name)(config, ModelInputs(heads=inputs.heads, **text))


def trainer(inputs: Inputs, recipe: Recipe, engine: Training, folder: Path, name: str = "caml", **options) -> Trainer:
    return Trainer(build(inputs, recipe, name), inputs, recipe, engine, 1, Checkpoints(folder), **options)


def run_alone(trainer: Trainer) -> Result:
    """Train one model until it ends."""
    (result,) = multi_seed.train([trainer])
    return result


def steps(trainer: Trainer) -> Iterator[None]:
    """Train as `multi_seed.train` does, and yield after each step, so that a test can stop there."""
    trainer.restore()
    while not trainer.done:
        trainer.train_step()
        if trainer.at_epoch_end:
            trainer.end_epoch()
        yield


def train(inputs: Inputs, recipe: Recipe, engine: Training, folder: Path) -> tuple[Result, dict[str, torch.Tensor]]:
    running = trainer(inputs, recipe, engine, folder)
    return run_alone(running), running.model.state_dict()


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert weights and weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, expected[name]), name


class Killed(Exception):
    """Simulates that the process is killed."""
