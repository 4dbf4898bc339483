"""`crossval`: cross-validate the run that params.yaml describes over train and dev."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("crossval", help="cross-validate the run of params.yaml over train and dev")
    parser.add_argument("--folds", type=int, default=10, metavar="N", help="parts of train and dev (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="train N folds at a time (default: 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write studies/crossval/dvc.yaml, and run the folds that are not done yet; Ctrl-C stops it.

    Raises:
        UserError: an argument is invalid, there is no dvc.yaml here, or a stage failed.
        KeyboardInterrupt: a signal stopped it.
    """
    from medcode.dvc_runner import Runner
    from medcode.errors import UserError
    from medcode.studies.pipeline import crossval

    if not 2 <= arguments.folds <= 1_000:
        raise UserError(f"--folds: expected a number from 2 to 1000, found {arguments.folds}")
    if not 1 <= arguments.jobs <= 64:
        raise UserError(f"--jobs: expected a number from 1 to 64, found {arguments.jobs}")
    crossval.write(Path(), arguments.folds)
    folds = crossval.fold_targets(arguments.folds)
    with Runner() as dvc:
        if arguments.jobs > 1:
            dvc.run([["repro", *crossval.data_targets(Path())]])
            # One command per fold, because a command runs one stage at a time.
            dvc.run([["repro", "--single-item", fold] for fold in folds], arguments.jobs)
        dvc.run([["repro", "--keep-going", crossval.FILE]])
