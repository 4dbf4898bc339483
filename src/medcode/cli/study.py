"""`study`: list the studies, write the pipeline of a study, run it, or write leaderboard and README."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medcode.studies.definition.study import Study
    from medcode.studies.pipeline.pipeline import Training

ROOT = Path("studies")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("study", help="list the studies, or write the pipeline of one, and run it")
    parser.add_argument("name", nargs="?", help="write studies/NAME/dvc.yaml; without a name: list the studies")
    parser.add_argument("--seeds", type=int, metavar="N", help="train with the seeds 1 to N")
    parser.add_argument("--corpus", help="train on another corpus")
    parser.add_argument("--run", dest="start", action="store_true", help="run what is not done yet; Ctrl-C stops it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="with --run: train N at a time")
    parser.add_argument("--ray", metavar="ADDRESS", help="with --run: train on a Ray cluster, auto or HOST:PORT")
    parser.add_argument("--targets", choices=("data", "runs"), help="print the stages of one kind, for dvc repro")
    parser.add_argument("--leaderboard", type=Path, metavar="FILE", help="write a table of all finished studies")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the table of models between its markers")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        UserError: there are no studies, no such study or corpus, a study is invalid, a stage of it failed, or README
            has no place for the table of models.
        KeyboardInterrupt: a signal stopped the running study.
    """
    from medcode.errors import UserError
    from medcode.studies import leftovers
    from medcode.studies.definition import study
    from medcode.studies.pipeline import pipeline, progress
    from medcode.studies.report import leaderboard, readme_table

    if not ROOT.is_dir():
        raise UserError(f"{ROOT}: no such folder; run this in the project's folder")
    if arguments.readme:
        readme_table.write(ROOT, arguments.readme)
    if arguments.leaderboard:
        leaderboard.write(ROOT, arguments.leaderboard)
    if arguments.readme or arguments.leaderboard:
        return
    if arguments.ray and not arguments.start:
        raise UserError("--ray: says where trainings run; add --run")
    if arguments.start and not arguments.name:
        raise UserError("--run: expected the name of a study; without --run they are listed")
    if not arguments.name:
        print(progress.listing(ROOT))
        return
    if arguments.seeds is not None and not 1 <= arguments.seeds <= 1_000:
        raise UserError(f"--seeds: expected a number from 1 to 1000, found {arguments.seeds}")
    if not 1 <= arguments.jobs <= 64:
        raise UserError(f"--jobs: expected a number from 1 to 64, found {arguments.jobs}")
    if arguments.seeds or arguments.corpus:
        seeds = list(range(1, arguments.seeds + 1)) if arguments.seeds else None
        study.choose(ROOT, arguments.name, seeds, arguments.corpus)
    chosen = study.load(ROOT, arguments.name)
    if arguments.targets:
        runs = arguments.targets == "runs"
        targets = [training.target for training in pipeline.trainings(chosen, Path())]
        print("\n".join(targets if runs else pipeline.data_targets(chosen, Path())))
        return
    pipeline.write(chosen, Path())
    print(f"{ROOT / arguments.name}/dvc.yaml: {progress.summary(chosen)}", flush=True)
    if arguments.start:
        start(chosen, arguments.jobs, arguments.ray)
        if remark := leftovers.remark(ROOT, chosen.name):
            print(remark)


def start(study: Study, jobs: int, address: str | None = None) -> None:
    """Run the unfinished stages of a study.

    Args:
        study: the study, with its pipeline written.
        jobs: number of parallel trainings on this machine.
        address: of the Ray cluster on which trainings run instead.

    Raises:
        UserError: a stage failed; there is no such cluster.
        KeyboardInterrupt: a signal stopped the study.
    """
    from medcode.dvc_runner import Runner
    from medcode.studies.pipeline import pipeline

    if jobs > 1 or address:
        for prefix in ("", pipeline.PREFIX) if study.definition.evidence else ("",):
            train(study, pipeline.trainings(study, Path(), prefix), jobs, address)
    with Runner() as dvc:
        dvc.run([["repro", "--keep-going", f"{ROOT / study.name}/dvc.yaml"]])


def train(study: Study, trainings: Sequence[Training], jobs: int, address: str | None = None) -> None:
    """Run some trainings of a study, or measurements of their evidence, and what they need before.

    Args:
        study: the study, with its pipeline written.
        trainings: of it.
        jobs: number of parallel trainings on this machine.
        address: of the Ray cluster on which they run instead.

    Raises:
        UserError: a stage failed; there is no such cluster.
        KeyboardInterrupt: a signal stopped it.
    """
    from medcode.dvc_runner import Runner
    from medcode.studies.pipeline import pipeline

    if not trainings:
        return
    with Runner() as dvc:
        dvc.run([["repro", *pipeline.data_targets(study, Path())]])
        if address is None:  # one command per training, because a command runs one stage at a time
            dvc.run([["repro", "--single-item", training.target] for training in trainings], jobs)
    if address is not None:
        from medcode.cluster import trainings as on_cluster
        from medcode.cluster.connection import connected

        with connected(address, worker_output=True):
            on_cluster.run(trainings)
