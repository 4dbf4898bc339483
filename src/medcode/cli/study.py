"""`study`: lists the studies, writes the pipeline of one, and writes the leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path("studies")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser("study", help="list the studies, or write the pipeline of one")
    parser.add_argument("name", nargs="?", help="write studies/NAME/dvc.yaml; without a name: list the studies")
    parser.add_argument("--seeds", type=int, metavar="N", help="train with the seeds 1 to N")
    parser.add_argument("--corpus", help="train on another corpus")
    parser.add_argument("--targets", choices=("data", "runs"), help="print the stages of one kind, for dvc repro")
    parser.add_argument("--leaderboard", type=Path, metavar="FILE", help="write a table of all finished studies")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Does what was asked for.

    Raises:
        UserError: there is no such study or corpus, or a study is wrong.
    """
    from medcode.errors import UserError
    from medcode.studies import leaderboard, pipeline, state, study

    if arguments.leaderboard:
        leaderboard.write(ROOT, arguments.leaderboard)
        return
    if not arguments.name:
        print(state.listing(ROOT))
        return
    if arguments.seeds is not None and arguments.seeds < 1:
        raise UserError(f"--seeds: expected a number from 1 on, found {arguments.seeds}")
    if arguments.seeds or arguments.corpus:
        seeds = list(range(1, arguments.seeds + 1)) if arguments.seeds else None
        study.choose(ROOT, arguments.name, seeds, arguments.corpus)
    chosen = study.load(ROOT, arguments.name)
    if arguments.targets:
        print("\n".join(pipeline.targets(chosen, Path(), arguments.targets)))
        return
    pipeline.write(chosen, Path())
    print(f"{ROOT / arguments.name}/dvc.yaml: {state.described(chosen)}")
