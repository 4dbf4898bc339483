"""Several trainings in one process, side by side."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from medcode.training.signals import Interruption

if TYPE_CHECKING:
    from medcode.training.trainer import Result, Trainer


def train(trainers: list[Trainer]) -> list[Result]:
    """Trains each model to its own end, a step of each in turn; one that has ended leaves the group.

    Every training has its own weights, batches, random numbers and checkpoints, and comes out as it would alone. On a
    GPU each has a stream of its own: what one model leaves idle, as a recurrent network leaves nearly all of it, the
    others use.

    Args:
        trainers: with their models on one device.

    Returns:
        What each training found, in their order; the models have the weights to keep.

    Raises:
        UserError: the loss of one is no longer finite, or its criterion cannot be computed on dev.
        SystemExit: SIGTERM or SIGINT came; the states are saved first.
    """
    for trainer in trainers:
        trainer.resume()
    where = lanes(trainers)
    running = {number: trainer.steps() for number, trainer in enumerate(trainers)}
    with Interruption() as interruption:
        while running:
            for number, steps in list(running.items()):
                with where[number]:
                    if next(steps, "ended") == "ended":
                        del running[number]
                if interruption.signal is not None and running:
                    for left, paused in running.items():
                        with where[left]:
                            trainers[left].save()
                        paused.close()
                    raise SystemExit(128 + interruption.signal)
    if trainers[0].device.type == "cuda":
        torch.cuda.synchronize(trainers[0].device)
    return [trainer.finish() for trainer in trainers]


def lanes(trainers: list[Trainer]) -> list[contextlib.AbstractContextManager]:
    """Where each training puts its work: on a GPU streams, which begin after what was put on the present one."""
    device = trainers[0].device
    if len(trainers) == 1 or device.type != "cuda":
        return [contextlib.nullcontext()] * len(trainers)
    streams = [torch.cuda.Stream(device) for _ in trainers]
    for stream in streams:
        stream.wait_stream(torch.cuda.current_stream(device))
    return [torch.cuda.stream(stream) for stream in streams]
