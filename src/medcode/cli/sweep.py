"""`sweep`: search over settings on dev, and leave the best as an experiment of DVC."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medcode.studies.definition.study import Study
    from medcode.studies.pipeline.pipeline import Training

EXAMPLES = """examples:
  medcode sweep caml-rates --jobs 2          the search of studies/caml-rates/sweep.yaml (docs/STUDIES.md shows one)
  medcode sweep caml-rates --ray auto        on the machines of a Ray cluster
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sweep",
        help="search over settings on dev, and leave the best as an experiment of DVC",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", help="search as studies/NAME/sweep.yaml says; Ctrl-C stops it, the same command goes on"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="train N at a time")
    parser.add_argument("--ray", metavar="ADDRESS", help="train on a Ray cluster, auto or HOST:PORT (docs/SCALE.md)")
    parser.add_argument("--no-experiment", action="store_true", help="end with the table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        UserError: there is no such search, it is wrong, or a stage failed.
        KeyboardInterrupt: a signal stopped it.
    """
    from medcode.cli import study as study_command
    from medcode.dvc_runner import Runner
    from medcode.errors import UserError
    from medcode.studies.definition import sweep as definition
    from medcode.studies.pipeline import sweep

    root = study_command.ROOT
    if not 1 <= arguments.jobs <= 64:
        raise UserError(f"--jobs: expected a number from 1 to 64, found {arguments.jobs}")
    chosen = definition.load(root, arguments.name)

    def train(current: Study, trainings: list[Training]) -> None:
        study_command.train(current, trainings, arguments.jobs, arguments.ray)

    best = sweep.search(root, arguments.name, chosen, train, lambda line: print(line, file=sys.stderr, flush=True))
    print((root / arguments.name / sweep.TABLE).read_text(encoding="utf-8"), end="")
    options = sweep.experiment(root, chosen, best)
    if arguments.no_experiment:
        print(shlex.join(["dvc", "exp", "run", *options]))
        return
    with Runner() as dvc:
        dvc.run([["exp", "run", "--temp", "--name", arguments.name, *options]])  # in a copy: params.yaml stays
