"""Evaluation of a run: the measurements of all its seeds, added one after another, and the files made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from medcode import io
from medcode.config import Evaluation
from medcode.dataset.arrays import Inputs
from medcode.errors import UserError
from medcode.evaluation import decisions, frequency, label_losses, probability_files, seeds
from medcode.evaluation.ensemble import Ensemble
from medcode.evaluation.intervals import Intervals
from medcode.evaluation.measurement import Measurements
from medcode.evaluation.per_code import COLUMNS, CodeTable
from medcode.evaluation.score_measures import Curves, ScoreMeasurement

TABLES = {
    "frequency": ["head", "group", *frequency.COLUMNS],
    "linkage": ["head", "group", "linked", *frequency.COLUMNS],
    "losses": label_losses.COLUMNS,
}
OF_ONE_SEED = ("predictions", "probabilities")  # large files of a single model

Paths = Mapping[str, Path | None]  # by the name of the stage's option, None for a file that is not wanted


class OpenMeasures(Protocol):
    """Measures with codes that training never saw, as `open_codes.measurement.OpenMeasurement` has them."""

    def add_to(self, metrics: dict[str, Any], probabilities: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Add them to metrics by head, given probabilities of all documents by split and head."""


class AllSeeds:
    """What was measured of the models of all seeds, and of the mean of their probabilities.

    Args:
        options: how to evaluate.
        codes: as for `measure`.
        data: with the splits dev and test.
        paths: the files to write.
        opened: measures with unseen codes, None without the label set open.
        scored: measures of the scores, None if they are not wanted.

    Attributes:
        metrics: by seed, as in metrics/test.json.
    """

    def __init__(
        self,
        options: Evaluation,
        codes: pd.DataFrame | None,
        data: Inputs,
        paths: Paths,
        opened: OpenMeasures | None,
        scored: ScoreMeasurement | None,
    ) -> None:
        self.metrics: dict[str, dict[str, Any]] = {}
        self._options, self._codes, self._data, self._paths = options, codes, data, paths
        self._opened, self._scored, self._curves = opened, scored, Curves([], [])
        self._tables: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in TABLES}
        self._ensemble, self._code_table, self._intervals = Ensemble(), CodeTable(), Intervals(options)
        self._last: Measurements | None = None

    def add(self, seed: int | str, measured: Measurements) -> None:
        """Add the measurements of a seed; its probabilities are not kept if nothing needs them."""
        if self._opened is not None:
            self._opened.add_to(measured.metrics, measured.probabilities)
        if self._scored is not None:
            self._curves = self._scored.add_to(measured.metrics, measured.probabilities["test"], len(self.metrics))
        self._ensemble.add(measured.probabilities)
        for option, collected in (("per_code", self._code_table), ("intervals", self._intervals)):
            if self._paths[option]:
                collected.add(measured.predictions)
        for name, rows in self._tables.items():
            rows.append(getattr(measured, name))
        self.metrics[str(seed)] = measured.metrics
        if any(self._paths[option] for option in OF_ONE_SEED):
            self._last = measured

    @property
    def mean(self) -> dict[str, Any]:
        """The mean of the metrics over the seeds, the content of metrics/test.json."""
        return seeds.mean(list(self.metrics.values()))

    def _of_ensemble(self) -> dict[str, Any]:
        if len(self.metrics) == 1:
            return {}
        metrics = self._ensemble.metrics(self._options, self._codes, self._data)
        probabilities = {name: of_split.values for name, of_split in self._ensemble.of_split.items()}
        if self._opened is not None:
            self._opened.add_to(metrics, probabilities)
        if self._scored is not None:  # with several seeds the curves are of the mean, which predicts
            self._curves = self._scored.add_to(metrics, probabilities["test"], None)
        return {"ensemble": metrics}

    def write(self, *, restricted: bool) -> None:
        """Write the files.

        Args:
            restricted: whether the corpus is, so that small counts of codes are suppressed.

        Raises:
            UserError: a file of one model is wanted, and there are several seeds.
        """
        for option in OF_ONE_SEED:
            if self._paths[option] and len(self.metrics) > 1:
                raise UserError(f"--{option}: those of one model, found a folder with several seeds")
        of_ensemble = self._of_ensemble()
        self._write("metrics", self.mean)
        self._write("seeds", of_ensemble | seeds.spread(self.metrics))
        self._write("intervals", self._intervals.values())
        for name, columns in TABLES.items():
            rows = seeds.mean(self._tables[name])
            if restricted and name == "losses":  # beside the normalized loss it tells how many notes have the code
                rows = [row | {"loss": ""} for row in rows]
            io.write_csv(_wanted(self._paths, name), rows, list(columns))
        if path := self._paths["per_code"]:
            io.write_csv(path, self._code_table.rows(restricted=restricted), list(COLUMNS))
        if self._scored is not None:
            self._curves.write(_wanted(self._paths, "reliability"), _wanted(self._paths, "risk_coverage"))
        if self._last is not None:
            self._write_last(self._last)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        if path := self._paths[name]:
            io.write_metrics(path, content)

    def _write_last(self, measured: Measurements) -> None:
        if path := self._paths["predictions"]:
            decisions.write(path, {head: decisions.decide(of_head) for head, of_head in measured.predictions.items()})
        if path := self._paths["probabilities"]:
            probability_files.write(path, measured.probabilities)


def _wanted(paths: Paths, name: str) -> Path:
    path = paths[name]
    if path is None:
        raise UserError(f"--{name.replace('_', '-')}: missing")
    return path
