"""A search over settings: trials as rows of a study, rung by rung, compared on dev alone."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from medcode import config, io
from medcode.errors import UserError
from medcode.studies.definition import datasets, study
from medcode.studies.definition.sweep import Sweep
from medcode.studies.pipeline import pipeline
from medcode.studies.pipeline.pipeline import Training

TABLE = "sweep.csv"
MODEL_FILE = "configs/models/{model}.yaml"
HEAD = "# Written by `medcode sweep` from sweep.yaml: change that instead.\n"

Run = Callable[[study.Study, list[Training]], None]
Scores = dict[int, float]


def search(root: Path, name: str, sweep: Sweep, run: Run, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all rungs, write the table of all trials, and return the settings of the best one.

    What is trained already, with the same settings, data and code, is not trained again.

    Args:
        root: the folder of all studies.
        name: of the search.
        sweep: its definition.
        run: runs trainings of a study whose pipeline is written.
        say: is told how each rung went.

    Raises:
        UserError: a setting is wrong, or a training failed.
    """
    combinations, rungs = sweep.combinations(), len(sweep.rungs())
    rows: dict[str, dict[str, Any]] = {}
    scores: list[Scores] = []
    trials: Sequence[int] = range(len(combinations))
    for rung in range(rungs):
        for trial in trials:
            title = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in combinations[trial].items())
            settings = sweep.row_settings(combinations[trial], rung)
            rows[sweep.row(trial, rung)] = {"title": title, "settings": settings}
        current = _write_study(root, name, sweep, rows)
        pipeline.write(current, Path())
        names = [sweep.row(trial, rung) for trial in trials]
        run(current, _of_rows(pipeline.trainings(current, Path()), names))
        found = {trial: _score(current, sweep, sweep.row(trial, rung)) for trial in trials}
        scores.append(found)
        best = sweep.ranked(found)[0]
        result = f"best {sweep.monitor} on dev {found[best]:.4f}, of trial {best + 1}"
        say(f"rung {rung + 1} of {rungs}: {len(found)} trials, {result}")
        io.write_text(root / name / TABLE, table(sweep, combinations, scores))
        trials = sweep.survivors(found)
    return sweep.row_settings(combinations[sweep.ranked(scores[-1])[0]], rungs - 1)


def _write_study(root: Path, name: str, sweep: Sweep, rows: dict[str, dict[str, Any]]) -> study.Study:
    """Write the trials so far as a study, and return it."""
    columns = ["f1_micro", "f1_macro", "map"]
    content = {
        "title": sweep.title,
        "tables": {
            "title": "Test results of each trial; dev chooses among them",
            "unit": "fraction",
            "macro_f1": "caml",
            "threshold": "tuned",
            "groups": {"icd": {"label_set": sweep.label_set, "columns": columns}},
        },
        "corpus": sweep.corpus,
        "seeds": sweep.seeds,
        "rows": rows,
    }
    text = HEAD + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    path = root / name / study.FILE
    if path.exists() and not path.read_text(encoding="utf-8").startswith(HEAD):
        raise UserError(f"{path}: is a study of its own; give the search a folder without one")
    io.write_text(path, text)
    return study.load(root, name)


def _of_rows(trainings: Iterable[Training], rows: Iterable[str]) -> list[Training]:
    wanted = {*rows}
    return [training for training in trainings if training.settings.split("/")[-2] in wanted]


def _score(current: study.Study, sweep: Sweep, row: str) -> float:
    """Return the mean of the dev metric over the seeds of a row."""
    key = "dev_loss" if sweep.monitor == "loss" else sweep.monitor
    values = []
    for seed in sweep.seeds:
        path = current.run_folder(row, sweep.label_set, seed) / "train.json"
        dev = io.read_json(path)["dev"]
        if key not in dev:
            raise UserError(
                f"{path}: has no {key} of dev, by which trials are compared; it has {', '.join(sorted(dev))}"
            )
        values.append(dev[key])
    return statistics.fmean(values)


def table(sweep: Sweep, combinations: Sequence[dict[str, Any]], scores: Sequence[Scores]) -> str:
    """Return a table with a line for each trial in each rung: the last rung first, from the best to the worst."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rung", "epochs", "trial", sweep.monitor, *sweep.search])
    for rung, of_rung in reversed([*enumerate(scores)]):
        for trial in sweep.ranked(of_rung):
            values = [json.dumps(value) for value in combinations[trial].values()]
            writer.writerow([rung + 1, sweep.rungs()[rung], trial + 1, f"{of_rung[trial]:.6f}", *values])
    return text.getvalue()


def experiment(root: Path, sweep: Sweep, settings: dict[str, Any]) -> list[str]:
    """Return the options of `dvc exp run` for a trial: `-S`, and a key with its value, for each setting.

    Args:
        root: the folder of all studies.
        sweep: the definition of the search.
        settings: of the trial, by dotted key.
    """
    source, of_corpus = datasets.read(root / datasets.SETTINGS, sweep.corpus)
    chosen = {"corpus": source, "label_set": sweep.label_set, "seed": sweep.seeds[0]} | of_corpus
    model, recipe = settings["model"], settings["recipe"]
    options = []
    for key, value in (chosen | settings).items():
        file, path = "", key.split(".")
        if path[0] == "models":
            file = MODEL_FILE.format(model=model)
            path = _in_model_file(config.read_yaml(Path(file)), path[2:], recipe)
        options += ["-S", f"{file}:{'.'.join(path)}={_value(value)}" if file else f"{'.'.join(path)}={_value(value)}"]
    return options


def _in_model_file(content: dict[str, Any], path: list[str], recipe: str) -> list[str]:
    """Return the keys of a setting in a model's file, with a + before them where the file lacks the setting."""
    if path[0] == "recipes":
        path = ["recipes", recipe, *path[2:]]
    elif _has(content, overridden := ["recipes", recipe, "options", *path[1:]]):
        path = overridden  # a recipe's options hold over those of the file
    return path if _has(content, path) else [f"+{path[0]}", *path[1:]]


def _has(content: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(content, dict) or key not in content:
            return False
        content = content[key]
    return True


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
