"""Trainings of a study as tasks of a Ray cluster, each the very stage of DVC that runs without it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from medcode import __version__
from medcode.cluster.connection import ATTEMPTS, join
from medcode.cluster.needs import Needs, check, needs_of
from medcode.dvc_runner import Runner
from medcode.errors import UserError
from medcode.studies.pipeline.pipeline import Training

PAUSE = 1.0  # seconds between two looks at the tasks
STOP = 60.0  # seconds that interrupted trainings have to save their checkpoints


def run(trainings: Sequence[Training]) -> None:
    """Run trainings on the connected cluster, as many at a time as it has room for; a failure does not stop the others.

    The training of a worker or a machine that is lost is given to another one, where it goes on from its checkpoint.

    Raises:
        UserError: some trainings failed, or no machine can run one.
        KeyboardInterrupt: the trainings have been interrupted, and have saved checkpoints.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(ray.cluster_resources().get("GPU", 0))
    needs = {training.target: needs_of(training, gpus) for training in trainings}
    for target, of_target in needs.items():
        check(target, of_target, machines)
    tasks = {_submit(training.target, needs[training.target]): training.target for training in trainings}
    waiting, failed = list(tasks), 0
    try:
        while waiting:
            ended, waiting = ray.wait(waiting, timeout=PAUSE)
            for task in ended:
                place, error = _result(task)
                failed += bool(error)
                done = f"{len(tasks) - len(waiting)} of {len(tasks)}"
                print(f"{done}: {tasks[task]}: {error or f'done on {place}'}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        for task in waiting:
            ray.cancel(task, force=False)
        ray.wait(waiting, num_returns=len(waiting), timeout=STOP)
        raise
    if failed:
        raise UserError(f"{failed} of {len(tasks)} trainings failed; what they said stands above")


def _submit(target: str, needs: Needs) -> object:
    import ray

    task = ray.remote(max_retries=ATTEMPTS, **needs.options())(repro)
    return task.options(name=target).remote(target, str(Path.cwd()), __version__)


def _result(task: object) -> tuple[str, str]:
    """Return on which machine a task ran, and what was wrong, if something was."""
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return "", f"was lost {ATTEMPTS + 1} times, or stopped ({type(error).__name__})"


def repro(target: str, place: str, version: str) -> tuple[str, str]:
    """Run one stage, in a worker, and return the name of its machine, and what was wrong, if something was.

    Args:
        target: of the stage, for DVC.
        place: working directory of the command.
        version: of the command's medcode.
    """
    try:
        join(place, version)
        with Runner() as dvc:
            dvc.run([["repro", "--single-item", target]])
    except UserError as error:
        return socket.gethostname(), str(error)
    return socket.gethostname(), ""
