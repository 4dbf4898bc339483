"""studies/crossval/dvc.yaml: the run of params.yaml, cross-validated over train and dev.

A fold is one stage. It repeats the commands of the main workflow from `split` to `evaluate` with files of its own, and
with one part of train and dev as dev. It measures dev and never opens test. What comes before `split` is the main
workflow's. DVC fills in `${...}` from params.yaml, so the pipeline depends on the number of folds alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from medcode import config, io
from medcode.studies.pipeline.workflow import PARAMS_FILE, Stage, StageCommand, ancestors, parse_stages, producer

FILE = "studies/crossval/dvc.yaml"
RUNS = "studies/crossval/runs"
METRICS = "metrics/crossval.json"
WORK = "data/crossval/${item.fold}"  # removed when the fold ends
RESULTS = f"{RUNS}/${{item.fold}}"
RESULT_FOLDERS = ("metrics", "plots")
FIRST, LAST = "split", "evaluate"
CALIBRATE, SCORE_OPTIONS = "calibrate", ("--calibration", "--reliability", "--risk-coverage")
# Of the matrix of label sets a fold has the one that params.yaml names, and those that its stages read besides.
LABEL_SET, NAMED, FURTHER = "${item.label_set}", "${label_set}", {"label_set": ("full", "joint")}
HEAD = "# Written by `make crossval` from the main dvc.yaml.\n"


def without_calibration(workflow: dict[str, Stage]) -> dict[str, Stage]:
    """Return the stages without calibration: a fold measures dev, on which it would be learned."""
    if CALIBRATE not in workflow:
        return workflow
    last, outs = workflow[LAST], workflow[CALIBRATE].outs
    deps = tuple(dep for dep in last.deps if dep not in outs)
    last = replace(last, command=last.command.without(SCORE_OPTIONS), deps=deps)
    return {name: stage for name, stage in workflow.items() if name != CALIBRATE} | {LAST: last}


def repeated(workflow: dict[str, Stage]) -> list[str]:
    """Return the stages that each fold repeats, in the order in which they run."""
    before = ancestors(without_calibration(workflow))
    names = [name for name in before[LAST] | {LAST} if FIRST in before[name] | {name}]
    return sorted(names, key=lambda name: (len(before[name]), name))


def pipeline(workflow: dict[str, Stage], folds: int) -> dict[str, Any]:
    """Return the content of studies/crossval/dvc.yaml.

    Args:
        workflow: the stages of the main dvc.yaml.
        folds: number of parts of train and dev.
    """
    workflow = without_calibration(workflow)
    chain = {name: workflow[name] for name in repeated(workflow)}
    deps = {dep for stage in chain.values() for dep in stage.deps if producer(chain, dep) is None}
    fold = {
        "desc": "train with one part of train and dev as dev, and measure it",
        "wdir": "../..",
        "matrix": {"fold": list(range(folds))},
        "cmd": [command.render() for command in _fold_commands(chain, folds)],
        "deps": ["data/code/crossval_fold.json", *sorted(deps)],
        "params": [{file: keys} for file, keys in _params(chain).items()],
        "outs": [{RESULTS: {"push": False}}],
    }
    options = {"--params": PARAMS_FILE, "--runs": RUNS, "--folds": str(folds), "--metrics": METRICS}
    metrics = {
        "desc": "mean and deviation of the folds",
        "wdir": "../..",
        "cmd": StageCommand("stages/studies/crossval_metrics.py", options).render(),
        "deps": ["data/code/crossval_metrics.json", *(f"{RUNS}/{number}" for number in range(folds))],
        "metrics": [{METRICS: {"cache": False}}],
    }
    return {"vars": [f"../../{PARAMS_FILE}"], "stages": {"fold": fold, "metrics": metrics}}


def _params(chain: dict[str, Stage]) -> dict[str, list[str]]:
    """Return the keys that the stages depend on, by file, without those in a section that another stage depends on."""
    keys: dict[str, set[str]] = {}
    for stage in chain.values():
        for file, names in stage.params.items():
            keys.setdefault(file, set()).update(names)
    return {
        file: sorted(name for name in names if "." not in name or name.split(".")[0] not in names)
        for file, names in keys.items()
    }


def _fold_commands(chain: dict[str, Stage], folds: int) -> list[StageCommand]:
    """Return the commands of a fold: its params.yaml, the repeated stages, and the removal of its data and model."""
    params = f"{WORK}/{PARAMS_FILE}"

    def moved(value: str) -> str:
        path = PurePosixPath(value)
        if producer(chain, value) is None:
            return value
        return str(PurePosixPath(RESULTS, *path.parts[1:]) if path.parts[0] in RESULT_FOLDERS else WORK / path)

    options = {"--params": PARAMS_FILE, "--folds": str(folds), "--fold": "${item.fold}", "--out": params}
    commands = [StageCommand("stages/studies/crossval_fold.py", options)]
    for name, stage in chain.items():
        command = stage.command.map_values(moved).replace_options({"--params": params})
        if name == "train":
            command = command.replace_options({"--timings": f"{RESULTS}/epochs.jsonl"})
        if name == LAST:
            command = command.replace_options({"--metrics": f"{RESULTS}/dev.json"}).add_option("--split", "dev")
        label_sets = (*FURTHER.get(name, ()), NAMED)
        commands += [command.map_values(lambda value, one=one: value.replace(LABEL_SET, one)) for one in label_sets]
    options = {"--params": params, "--model": WORK, "--out": f"{RESULTS}/environment.json"}
    return [*commands, StageCommand("stages/studies/study_finish.py", options)]


def write(root: Path, folds: int) -> None:
    """Write the pipeline.

    Raises:
        UserError: the main dvc.yaml cannot be read, or has a command that `StageCommand` cannot parse.
    """
    content = pipeline(parse_stages(config.read_yaml(root / "dvc.yaml")), folds)
    text = HEAD + yaml.safe_dump(content, sort_keys=False, width=120)
    if not (path := root / FILE).exists() or path.read_text(encoding="utf-8") != text:
        io.write_text(path, text)


def data_targets(root: Path) -> list[str]:
    """Return the targets of `dvc repro` for what the folds share: stages of the main workflow."""
    workflow = without_calibration(parse_stages(config.read_yaml(root / "dvc.yaml")))
    chain = repeated(workflow)
    producers = {producer(workflow, dep) for name in chain for dep in workflow[name].deps}
    return sorted(name for name in producers if name is not None and name not in chain)


def fold_targets(folds: int) -> list[str]:
    """Return the targets of `dvc repro` for the folds."""
    return [f"{FILE}:fold@{number}" for number in range(folds)]
