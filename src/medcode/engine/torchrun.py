"""Start a command under torchrun, on this machine or on several that train together.

Several machines meet where torchrun's own variables say: `PET_MASTER_ADDR` and `PET_MASTER_PORT` (29500 if it is not
set) of the first machine, and `PET_NODE_RANK` of each one, counted from 0, the first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from medcode.config import Training
from medcode.errors import UserError

ADDRESS, RANK = "PET_MASTER_ADDR", "PET_NODE_RANK"
WAIT_SECONDS = 3600  # for the other machines, which may still prepare data


def is_needed(training: Training) -> bool:
    """Whether a training is of several processes and this is none of them yet."""
    return training.nodes * training.processes > 1 and "WORLD_SIZE" not in os.environ


def check_meeting(training: Training, environment: Mapping[str, str]) -> None:
    """Check that several machines have a place to meet, and this one a number.

    Raises:
        UserError: they have none, or this one has a number that no machine can have.
    """
    if training.nodes == 1:
        return
    if not environment.get(ADDRESS):
        raise UserError(
            f"training.nodes: {training.nodes} machines meet at the first one, and {ADDRESS} does not name it; "
            f"set it to its name or address on every machine (docs/SCALE.md)"
        )
    rank = environment.get(RANK, "0")
    if not rank.isdecimal() or int(rank) >= training.nodes:
        raise UserError(f"{RANK}: expected a number from 0 to {training.nodes - 1}, one for each machine, found {rank}")


def command(training: Training, script: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command that starts a script under torchrun.

    Args:
        training: `processes` on each of `nodes` machines.
        script: the script and its arguments.
        environment: variables that say where several machines meet.

    Raises:
        UserError: as for `check_meeting`.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={training.processes}"]
    if training.nodes == 1:
        return [*torchrun, "--standalone", *script]
    check_meeting(training, environment)
    return [*torchrun, f"--nnodes={training.nodes}", f"--rdzv_conf=timeout={WAIT_SECONDS}", *script]
