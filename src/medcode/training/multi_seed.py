"""The training loop, for one seed or several in one process."""

from __future__ import annotations

import contextlib

import torch

from medcode.training.signals import StopSignal
from medcode.training.state import Result
from medcode.training.trainer import Trainer


def train(trainers: list[Trainer]) -> list[Result]:
    """Train several models in turn, one step each, until all have ended.

    Every training has its own weights, batches, random numbers and checkpoints, and has the same result as it would
    alone. On a GPU each has its own stream, so that one model uses the units that another leaves idle; a recurrent
    network leaves nearly all of them idle.

    Args:
        trainers: with their models on one device.

    Returns:
        The result of each training, in their order; the models have the weights to keep.

    Raises:
        UserError: a loss is not finite, or a monitored metric cannot be computed on dev.
        SystemExit: SIGTERM or SIGINT was received; the states are saved first.
    """
    for trainer in trainers:
        trainer.restore()
    stream_of = dict(zip(trainers, streams(trainers), strict=True))
    with StopSignal() as stop, contextlib.ExitStack() as at_end:
        for trainer in trainers:
            at_end.callback(trainer.close_bar)
        while active := [trainer for trainer in trainers if not trainer.done]:
            for trainer in active:
                with stream_of[trainer]:
                    if not trainer.at_epoch_end:  # else the process was stopped there
                        trainer.train_step()
                    if trainer.at_epoch_end and stop.received is None:
                        trainer.end_epoch()
                if stop.received is not None:
                    _save_and_exit([trainer for trainer in active if not trainer.done], stream_of, stop.received)
    if trainers[0].device.type == "cuda":
        torch.cuda.synchronize(trainers[0].device)
    return [trainer.finish() for trainer in trainers]


def streams(trainers: list[Trainer]) -> list[contextlib.AbstractContextManager]:
    """Return a CUDA stream for each training, which waits for the work on the current one; on a CPU, no-ops."""
    device = trainers[0].device
    if len(trainers) == 1 or device.type != "cuda":
        return [contextlib.nullcontext()] * len(trainers)
    cuda_streams = [torch.cuda.Stream(device) for _ in trainers]
    for stream in cuda_streams:
        stream.wait_stream(torch.cuda.current_stream(device))
    return [torch.cuda.stream(stream) for stream in cuda_streams]


def _save_and_exit(
    trainers: list[Trainer], stream_of: dict[Trainer, contextlib.AbstractContextManager], signal: int
) -> None:
    """Save the unfinished trainings, and exit with the status of the signal. Do nothing if there are none."""
    for trainer in trainers:
        with stream_of[trainer]:
            trainer.save()
    if trainers:
        raise SystemExit(128 + signal)
