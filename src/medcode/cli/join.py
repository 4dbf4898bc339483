"""`join`: train on this machine together with the first one, where `dvc repro` runs."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

EPILOG = """examples:
  PET_MASTER_ADDR=node1 medcode join 1      the second machine; the first, node1, is number 0 and runs dvc repro

docs/SCALE.md says more.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "join",
        help="train on this machine together with the one that runs dvc repro (training.nodes)",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("number", type=int, metavar="NUMBER", help="of this machine, from 1 on")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the stage `train` of dvc.yaml here, as a part of the training that the first machine leads.

    Raises:
        UserError: params.yaml does not name so many machines.
    """
    from medcode import config
    from medcode.engine import torchrun
    from medcode.errors import UserError

    nodes = config.load_all("params.yaml").training.nodes
    if not 1 <= arguments.number < nodes:
        machines = f"{nodes} machine" + "s" * (nodes > 1)
        raise UserError(
            f"join: params.yaml has {machines} (training.nodes), of which the first, number 0, runs dvc repro; "
            + (f"expected a number from 1 to {nodes - 1}, found {arguments.number}" if nodes > 1 else "none can join")
        )
    _, *script = shlex.split(config.read_yaml("dvc.yaml")["stages"]["train"]["cmd"])
    os.execve(sys.executable, [sys.executable, *script], os.environ | {torchrun.RANK: str(arguments.number)})
