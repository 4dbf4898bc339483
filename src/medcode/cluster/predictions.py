"""Predictions of parts of the notes by the workers of a cluster."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medcode import __version__
from medcode.bulk import model
from medcode.bulk.parts import PartsRun
from medcode.bulk.progress import Counts
from medcode.cluster.connection import ATTEMPTS, join
from medcode.errors import UserError
from medcode.inference import kept

# Bytes of a worker: Python with torch, and a window of notes. Beside it a model takes twice what its files take.
OWN_MEMORY = 2**30


class PartPredictor:
    """A worker: it has the model in memory, and predicts one part after another.

    Args:
        run: whose parts they are.
        name: folder of the model, or the name of a kept one.
        open_folder: of what scores unseen codes; None for that of the model.
        place: working directory of the command.
        version: of the command's medcode.
    """

    def __init__(self, run: PartsRun, name: str, open_folder: str | None, place: str, version: str) -> None:
        self.run, self.error = run, ""
        try:
            join(place, version)
            self.coder, digest = model.load(name, open_folder)
            if digest != run.settings["model"]:
                raise UserError(f"{name}: is another model than when the run began; `medcode keep` keeps one for runs")
        except UserError as error:
            self.error = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Predict the part of a batch of one, and return its number and counts, or what is wrong."""
        number, error, counts = int(batch["part"][0]), self.error, Counts()
        if not error:
            try:
                counts = self.run.predict(self.coder, number)
            except UserError as mistake:
                error = str(mistake)
        columns = {"part": number, "error": error} | dataclasses.asdict(counts)
        return {name: [value] for name, value in columns.items()}


def on_workers(
    run: PartsRun, name: str, open_folder: str | None, numbers: Iterable[int]
) -> Iterator[tuple[int, Counts]]:
    """Predict parts on all free CPUs of the cluster, a worker on each, and yield their counts as they are done.

    A part of a worker that is lost is given to another one, which goes on with it.

    Args:
        run: whose parts they are.
        name: folder of the model, or the name of a kept one.
        open_folder: of what scores unseen codes; None for that of the model.
        numbers: of the parts.

    Raises:
        UserError: a part cannot be predicted, or was lost too often.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    todo = list(numbers)
    if not todo:
        return
    DataContext.get_current().enable_progress_bars = False  # of Ray: they count blocks
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # The number of restarts has no other place before Ray 2.64, to which the package is held.
    warnings.filterwarnings("ignore", "`ray_remote_args_fn` is deprecated", DeprecationWarning)
    workers = min(len(todo), max(1, int(ray.cluster_resources().get("CPU", 1))))
    parts = ray.data.from_items([{"part": number} for number in todo], override_num_blocks=len(todo))
    done = parts.map_batches(
        PartPredictor,
        fn_constructor_args=(run, name, open_folder, str(Path.cwd()), __version__),
        batch_size=1,
        compute=ActorPoolStrategy(min_size=1, initial_size=workers, max_size=workers),
        num_cpus=1,
        memory=OWN_MEMORY + 2 * _size(kept.find(name)),
        ray_remote_args_fn=lambda: {"max_restarts": ATTEMPTS, "max_task_retries": ATTEMPTS},
    )
    with tqdm(
        desc="predict", unit="part", total=len(run.parts), initial=len(run.parts) - len(todo), disable=None
    ) as bar:
        try:
            for row in done.iter_rows():
                number, error = row.pop("part"), row.pop("error")
                if error:
                    raise UserError(error)
                bar.update()
                yield number, Counts(**row)
        except ray.exceptions.RayError as error:
            raise UserError(
                f"{run.folder}: workers were lost {ATTEMPTS + 1} times over the same part, perhaps for want of memory; "
                f"the same command goes on"
            ) from error


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
