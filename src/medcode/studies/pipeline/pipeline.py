"""Writes studies/<name>/dvc.yaml from study.yaml, with the commands of the main workflow: nothing is said twice.

A study's pipeline exists from its first run on, and that of the data has what those studies train on: stages that
nobody runs would slow every `dvc` command.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from medcode import config, io
from medcode.errors import UserError
from medcode.studies.definition.study import FILE, Study, load, names
from medcode.studies.pipeline.data_pipeline import CODE, SETTINGS, DataPipeline

HEAD = "# Written by `make study` from {source}: change that instead.\n"
NO_ENCODER = "none"


def study_pipeline(study: Study, workflow: dict[str, Any], data: DataPipeline) -> dict[str, Any]:
    """The content of studies/<name>/dvc.yaml.

    Args:
        study: the study.
        workflow: the content of the main dvc.yaml.
        data: where the data of the studies are.
    """
    stages: dict[str, Any] = {}
    if groups := run_groups(study):
        stages["settings"] = _settings(study, "study_settings", "settings", {"push": False})
    for name, (label_set, encoder, rows) in groups.items():
        stages[name] = _runs(study, workflow, data, label_set, encoder, rows)
    if study.counts_only:
        stages["parameters"] = _settings(study, "study_parameters", "parameters.json", {"cache": False})
    stages["report"] = _report(study)
    return {"stages": stages}


def run_groups(study: Study) -> dict[str, tuple[str, str, list[str]]]:
    """The rows that a study trains on the same inputs: label set, encoder and rows, by the name of their stage."""
    groups: dict[str, tuple[str, str, list[str]]] = {}
    for label_set, rows in study.runs().items():
        for row in rows:
            encoder = study.setting(row, "encoder", NO_ENCODER)
            name = label_set if encoder == NO_ENCODER else f"{label_set}-{encoder}"
            groups.setdefault(name, (label_set, encoder, []))[2].append(row)
    return groups


def _runs(
    study: Study, workflow: dict[str, Any], data: DataPipeline, label_set: str, encoder: str, rows: list[str]
) -> dict[str, Any]:
    folder, corpus = f"studies/{study.name}", study.definition.corpus
    run = f"{folder}/runs/{corpus}/{label_set}/${{item.row}}/${{item.seed}}"
    settings = f"{folder}/settings/{label_set}/${{item.row}}/${{item.seed}}"
    # The model is not kept: it is large, and restricted where the notes are.
    model = f"models/{folder}/{corpus}-{label_set}-${{item.row}}-${{item.seed}}"
    commands, deps = [], []
    for name in ("train", "evaluate"):
        stage = workflow["stages"][name]
        commands.append(_command(stage["cmd"], run, settings, model, data, corpus, label_set, encoder))
        read = [dep for dep in stage["deps"] if dep.startswith("data/") and not dep.startswith(f"{CODE}/")]
        deps += [data.moved(dep, corpus, label_set=label_set, encoder=encoder) for dep in read]
    commands[1] += f" --predictions {run}/predictions.npz"
    finish = (
        f"python stages/studies/study_finish.py --params {settings}.yaml --model {model} --out {run}/environment.json"
    )
    return {
        "desc": f"train and measure each row on {label_set}",
        "wdir": "../..",
        "matrix": {"row": rows, "seed": list(study.definition.seeds)},
        "cmd": [*commands, finish],
        "deps": [*dict.fromkeys(deps), f"{settings}.json", f"{settings}.train.json"],
        "outs": [{run: {"push": False}}],
    }


def _command(
    command: str, run: str, settings: str, model: str, data: DataPipeline, corpus: str, label_set: str, encoder: str
) -> str:
    """A command of the main workflow, with the files of a training of the study."""
    command = command.replace("--params params.yaml", "--params @settings@").replace("logs/train.jsonl", "@epochs@")
    command = command.replace("configs/models/${model}.yaml", "@settings@").replace(f"{CODE}/train.json", "@code@")
    command = re.sub(r"(?<![\w/])(metrics|plots)/(\S+)", r"@run@/\2", command).replace("models/current", model)
    command = data.moved(command, corpus, label_set=label_set, encoder=encoder)
    command = command.replace("@settings@", f"{settings}.yaml").replace("@code@", f"{settings}.train.json")
    command = command.replace("@epochs@", f"{run}/epochs.jsonl")
    return command.replace("@run@", run)


def _settings(study: Study, command: str, out: str, options: dict[str, bool]) -> dict[str, Any]:
    folder = f"studies/{study.name}"
    origins = sorted({study.origin(name).study.name for name in study.definition.rows} | {study.name})
    return {
        "desc": "the params.yaml of each row and seed, and what its training rests on"
        if command == "study_settings"
        else "count the parameters of each row at the papers' sizes",
        "wdir": "../..",
        "cmd": f"python stages/studies/{command}.py {SETTINGS} --study {folder}/{FILE} --out {folder}/{out}",
        "deps": [
            "configs/models",
            "params.yaml",
            # The code whose digests are written down, and whose models are counted, is chosen by name.
            "src/medcode",
            "stages",
            "studies/data/settings.yaml",
            f"studies/published/{study.definition.paper}.yaml",
            *(f"studies/{name}/{FILE}" for name in origins),
        ],
        "outs": [{f"{folder}/{out}": options}],
    }


def _report(study: Study) -> dict[str, Any]:
    folder, corpus = f"studies/{study.name}", study.definition.corpus
    deps = {f"{folder}/{FILE}", f"studies/published/{study.definition.paper}.yaml"}
    deps.add(f"{CODE}/study_report.json")
    if study.counts_only:
        deps.add(f"{folder}/parameters.json")
    elif study.runs():
        deps |= {f"{folder}/runs/{corpus}", f"{folder}/settings"}
    for name in [] if study.counts_only else study.definition.rows:
        by = study.trained_by(name)
        if by.study is not study:
            other = f"studies/{by.study.name}"
            for label_set in study.label_sets(name):
                deps |= {f"{other}/{kind}/{label_set}/{by.name}" for kind in (f"runs/{corpus}", "settings")}
        deps.add(f"studies/{study.origin(name).study.name}/{FILE}")
    outs = ["figures", "report.html", "results.json", "table.csv", "table.md"]
    return {
        "desc": "the table, the figures and the report page",
        "wdir": "../..",
        "cmd": f"python stages/studies/study_report.py --params params.yaml --study {folder}/{FILE} --out {folder}",
        "deps": sorted(deps),
        "outs": [{f"{folder}/{out}": {"cache": False}} for out in outs],
    }


def read_data(root: Path, studies: Iterable[Study]) -> tuple[dict[str, Any], DataPipeline]:
    """The main workflow, and where the data that some studies train on are.

    Args:
        root: the root of the repository.
        studies: the studies.
    """
    workflow = config.read_yaml(root / "dvc.yaml")
    trained = [(one.definition.corpus, *group[:2]) for one in studies for group in run_groups(one).values()]
    values = [sorted(set(column)) for column in zip(*trained, strict=True)] or [[], [], []]
    return workflow, DataPipeline(workflow, dict(zip(("corpus", "label_set", "encoder"), values, strict=True)))


def write(study: Study, root: Path) -> None:
    """Writes the pipelines of a study, of those whose trainings it shows, and of the data of all that have one."""
    involved = {one.name: one for one in (study, *(study.trained_by(row).study for row in study.definition.rows))}
    workflow, data = read_data(root, [*involved.values(), *_others(root, involved)])
    if data.values["corpus"]:
        _write(root / "studies/data/dvc.yaml", data.pipeline(), "the main dvc.yaml")
    for one in involved.values():
        _write(root / "studies" / one.name / "dvc.yaml", study_pipeline(one, workflow, data), FILE)


def _others(root: Path, known: Container[str]) -> Iterator[Study]:
    """The other studies that have a pipeline, so that the one for the data goes on serving them."""
    for name in names(root / "studies"):
        if name not in known and (root / "studies" / name / "dvc.yaml").exists():
            with contextlib.suppress(UserError):  # it is told of when that study is asked for
                yield load(root / "studies", name)


def _write(path: Path, content: dict[str, Any], source: str) -> None:
    text = HEAD.format(source=source) + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        io.write_text(path, text)


def targets(study: Study, root: Path, kind: str) -> list[str]:
    """Stages of a study for `dvc repro`: what its trainings need (`data`), or its trainings (`runs`)."""
    here, groups = f"studies/{study.name}/dvc.yaml", run_groups(study)
    if kind == "runs":
        return [
            f"{here}:{name}@{row}-{seed}"
            for name, (_, _, rows) in groups.items()
            for row in rows
            for seed in study.definition.seeds
        ]
    workflow, data = read_data(root, [study])
    read = [
        dep
        for name in ("train", "evaluate")
        for dep in workflow["stages"][name]["deps"]
        if dep.startswith("data/") and not dep.startswith(f"{CODE}/")
    ]
    made = [
        data.address(dep, study.definition.corpus, label_set=label_set, encoder=encoder)
        for label_set, encoder, _ in groups.values()
        for dep in read
    ]
    return [*dict.fromkeys(made), f"{here}:settings"] if groups else []
