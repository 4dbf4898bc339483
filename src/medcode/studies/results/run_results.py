"""Results of the trainings of a study: metrics by row, label set and seed, with mean and deviation."""

from __future__ import annotations

import csv
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcode import io
from medcode.evaluation import decisions, metric_table
from medcode.evaluation.decisions import Decisions
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import JOINT, METRICS, Table
from medcode.studies.pipeline.progress import DONE

# Of test.json that results.json has.
SECTIONS = ("official", "official_open", "open", "auc", "ranking", "fixed", "tuned", "counts")
RowSettings = dict[tuple[str, str], dict[str, Any]]  # {(row, label set): settings}


@dataclass(frozen=True)
class Run:
    """Results of one training, by file."""

    folder: Path
    seed: int
    train: dict[str, Any]
    test: dict[str, Any]
    environment: dict[str, Any]

    def epoch_times(self, name: str) -> list[float]:
        """Return `seconds` or `cpu_seconds` of each epoch; nothing if the training was logged without them."""
        path = self.folder / "epochs.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [times[name] for times in map(json.loads, lines) if name in times]

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the training; None if it was logged without it."""
        return sum(times) if (times := self.epoch_times("cpu_seconds")) else None

    def decisions(self, head: str) -> Decisions:
        """Return the decisions on test."""
        return decisions.read(self.folder / "predictions.npz")[head]

    def table(self, name: str, head: str) -> list[dict[str, str]]:
        """Return the lines of a table about a head."""
        with open(self.folder / name, encoding="utf-8", newline="") as file:
            return [line for line in csv.DictReader(file) if line["head"] == head]


Runs = dict[tuple[str, str], list[Run]]  # {(row, label set): trainings}


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation over seeds. The deviation of a single seed is NaN."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """The sample standard deviation."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    def contains(self, value: float) -> bool | None:
        """Return whether mean ± deviation contains a value; None for a single seed."""
        return None if math.isnan(self.deviation) else abs(self.mean - value) <= self.deviation + 1e-12


def read(study: Study) -> Runs:
    """Return the finished trainings, by row and label set, in the order of the seeds."""
    runs: Runs = {}
    for name in study.definition.rows:
        for label_set in study.label_sets(name):
            folders = {seed: study.run_folder(name, label_set, seed) for seed in study.definition.seeds}
            runs[name, label_set] = [
                Run(folder, seed, *(io.read_json(folder / file) for file in ("train.json", "test.json", DONE)))
                for seed, folder in folders.items()
                if (folder / DONE).exists()
            ]
    return runs


def ensembles(study: Study) -> dict[str, dict[str, Any]]:
    """Return the metrics of the ensembles that were measured, by name and head."""
    files = {name: study.ensemble_file(name) for name in study.definition.ensembles}
    return {name: io.read_json(file) for name, file in files.items() if file.exists()}


def label_set_and_head(table: Table, group: str, label_sets: list[str]) -> tuple[str, str] | None:
    """Return the label set and the head of a row in a group of columns; None if the row was not trained for them.

    A model of both editions of ICD shows the head with the name of the group. A model trained on more documents
    (top50_extra) shows the head of the group.
    """
    columns = table.groups[group]
    if columns.label_set in label_sets:
        return columns.label_set, columns.head
    if JOINT in label_sets:
        return JOINT, group
    if f"{columns.label_set}_extra" in label_sets:
        return f"{columns.label_set}_extra", columns.head
    return None


def metric(measured: dict[str, Any], name: str, table: Table) -> float | None:
    """Return a metric of a head by the definitions of the table; None if undefined, such as P@8 of five labels."""
    *sections, key = metric_table.path_in_test(name, table.threshold, table.macro_f1)
    values: Any = with_open(measured)
    for section in sections:
        values = values[section]
    return values.get(key)


def with_open(measured: dict[str, Any]) -> dict[str, Any]:
    """Return metrics of a head whose official measures count unseen codes, where these were scored."""
    return measured | {"official": measured["official_open"]} if "official_open" in measured else measured


def group_column(table: Table) -> str:
    """Return the column of macro F1 in the tables by group of codes, at the threshold of the table."""
    return "f1_macro_tuned" if table.threshold == "tuned" else "f1_macro"


def summarize(runs: list[Run], head: str, name: str, table: Table) -> Summary | None:
    """Return a metric over the seeds in the unit of the table; None if unknown or undefined for a seed."""
    return summarize_metrics([run.test[head] for run in runs if head in run.test], name, table)


def summarize_metrics(measured: list[dict[str, Any]], name: str, table: Table) -> Summary | None:
    """Return a metric over the metrics of one head, in the unit of the table; None if unknown or undefined for one."""
    if name not in METRICS:
        return None
    values = [metric(of_head, name, table) for of_head in measured]
    scaled = [value * table.scale for value in values if value is not None]
    return Summary(tuple(scaled)) if scaled and len(scaled) == len(values) else None


def record(study: Study, runs: Runs, settings: RowSettings, repository: str | None = None) -> dict[str, Any]:
    """Return the content of results.json, from which the leaderboard is made: numbers only.

    Args:
        study: the study.
        runs: its trainings.
        settings: what each row was trained with.
        repository: web page of the repository, from `commit_links.address`.
    """
    of_ensembles = ensembles(study)
    finished = all(len(seed_runs) == len(study.definition.seeds) for seed_runs in runs.values())
    finished = finished and of_ensembles.keys() == study.definition.ensembles.keys()
    return {
        "study": study.name,
        "title": study.definition.title,
        "corpus": study.definition.corpus,
        "repository": repository,
        "finished": finished,
        "rows": [
            _row(study, name, label_set, seed_runs, settings[name, label_set])
            for (name, label_set), seed_runs in runs.items()
            if seed_runs
        ],
        "ensembles": [_ensemble(study, name, test) for name, test in of_ensembles.items()],
    }


def _row(study: Study, name: str, label_set: str, runs: list[Run], trained_with: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": name,
        "title": study.definition.rows[name].title,
        "model": trained_with["model"],
        "recipe": trained_with["recipe"],
        "label_set": label_set,
        "seeds": [run.seed for run in runs],
        "parameters": runs[0].train["parameters"],
        "epochs": [run.train["epochs_run"] for run in runs],
        "best_epochs": [run.train["best_epoch"] for run in runs],
        "stopped": [run.train["stopped"] for run in runs],
        "seconds": [round(sum(run.epoch_times("seconds")), 1) for run in runs],
        "cpu_seconds": [None if (seconds := run.cpu_seconds()) is None else round(seconds, 1) for run in runs],
        "device": runs[0].environment["device"],
        "torch": runs[0].environment["torch"],
        "commits": sorted({run.environment["commit"] or "unknown" for run in runs}),
        "test": {
            head: {key: _values(runs, head, key) for key in SECTIONS if key in measured}
            for head, measured in runs[0].test.items()
        },
    }


def _ensemble(study: Study, name: str, test: dict[str, Any]) -> dict[str, Any]:
    sections = {head: {key: measured[key] for key in SECTIONS if key in measured} for head, measured in test.items()}
    return {
        "ensemble": name,
        **study.definition.ensembles[name].model_dump(),
        "label_set": study.ensemble_label_set(name),
        "test": sections,
    }


def _values(runs: list[Run], head: str, key: str) -> dict[str, Any]:
    def gather(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {name: gather([value[name] for value in values]) for name in values[0] if name != "jaccard"}
        return values

    return gather([run.test[head][key] for run in runs])


def settings(study: Study) -> RowSettings:
    """Return the settings of each row and label set, without the digests of code.

    They are those of the first seed: settings of two seeds differ only in the seed.
    """
    by_row: RowSettings = {}
    for name in study.definition.rows:
        trained = study.trained_by(name)
        for label_set in study.label_sets(name):
            folder = study.root / trained.study.name / "settings" / label_set / trained.name
            path = folder / f"{study.definition.seeds[0]}.json"
            if path.exists():
                by_row[name, label_set] = io.read_json(path)["settings"]
    return by_row
