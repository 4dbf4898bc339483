"""Write studies/<name>/dvc.yaml from study.yaml, with the commands of the main workflow.

The pipeline of a study is written at its first run, and the data pipeline covers only studies with a pipeline: unused
stages would slow every `dvc` command.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from medcode import config, io
from medcode.errors import UserError
from medcode.studies.definition.resolve import OPEN_FILE
from medcode.studies.definition.study import FILE, PROBABILITIES, Study, load, names
from medcode.studies.pipeline.data_pipeline import CODE, SETTINGS_FILE, SETTINGS_OPTIONS, DataPipeline
from medcode.studies.pipeline.evidence_stage import PREFIX, evidence_stage
from medcode.studies.pipeline.run_groups import RunFiles, RunGroup, run_groups
from medcode.studies.pipeline.workflow import PARAMS_FILE, StageCommand, parse_stages

HEAD = "# Written by `make study` from {source}: change that instead.\n"
# Options of the evaluation that studies do without: for codes that training never saw, and for calibration.
OPEN_OPTIONS = ("--notes", "--open")
PAGE_OPTIONS = ("--per-code", "--intervals")  # what it writes for the report page of a single run
SCORE_OPTIONS = ("--calibration", "--reliability", "--risk-coverage")
OPEN_TABLES = ("--notes", "--spans", "--descriptions", "--synonyms")  # what an ensemble needs to score unseen codes
RESULT_FOLDERS = ("metrics", "plots")  # of the main workflow; a training of a study has one folder for both


def study_pipeline(study: Study, data: DataPipeline) -> dict[str, Any]:
    """Return the content of studies/<name>/dvc.yaml.

    Args:
        study: the study.
        data: the main workflow and the data paths of the studies.
    """
    stages: dict[str, Any] = {}
    if groups := run_groups(study):
        stages["settings"] = _settings_stage(
            study, "study_settings", "the params.yaml of each row and seed, and what its training rests on",
            "settings", {"push": False},
        )  # fmt: skip
    for name, group in groups.items():
        stages[name] = _runs_stage(study, data, group)
        if study.definition.evidence:
            stages[f"{PREFIX}{name}"] = evidence_stage(study, data, group)
    if study.counts_only:
        stages["parameters"] = _settings_stage(
            study, "study_parameters", "count the parameters of each row at the papers' sizes",
            "parameters.json", {"cache": False},
        )  # fmt: skip
    for name in study.definition.ensembles:
        stages[f"ensemble-{name}"] = _ensemble_stage(study, data, name)
    stages["report"] = _report_stage(study)
    return {"stages": stages}


def _runs_stage(study: Study, data: DataPipeline, group: RunGroup) -> dict[str, Any]:
    corpus, files = study.definition.corpus, RunFiles.of(study, group)
    axes = {"label_set": group.label_set, "encoder": group.encoder}
    deps = [data.study_path(dep, corpus, **axes) for dep in _data_deps(data)]
    outs = [files.results, files.model] if study.definition.evidence else [files.results]
    return {
        "desc": f"train and measure each row on {group.label_set}",
        "wdir": "../..",
        "matrix": {"row": group.rows, "seed": list(study.definition.seeds)},
        "cmd": [command.render() for command in _run_commands(data, files, corpus, axes, study)],
        "deps": [*dict.fromkeys(deps), f"{files.settings}.json", f"{files.settings}.train.json"],
        "outs": [{out: {"push": False}} for out in outs],
    }


def _data_deps(data: DataPipeline) -> list[str]:
    """Return the paths in data/ of the main workflow that a training and its evaluation read.

    Code and recipe are left out: the settings of a study hold those of each row. So is what only `OPEN_OPTIONS` need.
    """
    deps = [PurePosixPath(dep) for name in ("train", "evaluate") for dep in data.workflow[name].deps]
    settings = {PurePosixPath(out) for out in data.workflow["recipe"].outs}
    options = data.workflow["evaluate"].command.options
    settings |= {PurePosixPath(options[name]) for name in OPEN_OPTIONS if name in options}
    return [
        str(dep) for dep in deps if dep.is_relative_to("data") and not dep.is_relative_to(CODE) and dep not in settings
    ]


def _run_commands(
    data: DataPipeline, files: RunFiles, corpus: str, axes: dict[str, str], study: Study
) -> list[StageCommand]:
    """Return the commands of a training: train and evaluate with the files of the training, then study_finish."""
    params = f"{files.settings}.yaml"

    def run_path(value: str) -> str:
        path = PurePosixPath(value)
        if path.parts[0] in RESULT_FOLDERS:
            return str(PurePosixPath(files.results, *path.parts[1:]))
        return data.study_path(value, corpus, **axes)

    train, evaluate = (data.workflow[name].command.map_values(run_path) for name in ("train", "evaluate"))
    train_options = {
        "--params": params,
        "--model-settings": params,
        "--code": f"{files.settings}.train.json",
        "--timings": f"{files.results}/epochs.jsonl",
        "--model": files.model,
    }
    finish_options = {"--params": params, "--out": f"{files.results}/environment.json"}
    finish_options |= {} if study.definition.evidence else {"--model": files.model}
    evaluate = evaluate.without((*OPEN_OPTIONS, *PAGE_OPTIONS, *SCORE_OPTIONS))
    evaluate = evaluate.replace_options({"--params": params, "--model": files.model})
    evaluate = evaluate.add_option("--predictions", f"{files.results}/predictions.npz")
    if study.definition.ensembles:
        evaluate = evaluate.add_option("--probabilities", f"{files.results}/{PROBABILITIES}")
    return [
        train.replace_options(train_options),
        evaluate,
        StageCommand("stages/studies/study_finish.py", finish_options),
    ]


def _ensemble_stage(study: Study, data: DataPipeline, name: str) -> dict[str, Any]:
    folder, corpus, label_set = f"studies/{study.name}", study.definition.corpus, study.ensemble_label_set(name)
    ensemble, out = study.definition.ensembles[name], f"{folder}/ensembles/{name}.json"
    rows = ensemble.rows
    runs = f"{folder}/runs/{corpus}/{label_set}"
    inputs, codes = (
        data.study_path(data.workflow["evaluate"].command.options[option], corpus, label_set=label_set)
        for option in ("--inputs", "--codes")
    )
    # Measured by the options of the first row.
    params = f"{folder}/settings/{label_set}/{rows[0]}/{study.definition.seeds[0]}.yaml"
    options = {"--params": params, "--inputs": inputs, "--codes": codes}
    seeds = ",".join(map(str, study.definition.seeds))
    options |= {"--runs": runs, "--rows": ",".join(rows), "--seeds": seeds, "--out": out}
    tables = {
        option: data.study_path(data.workflow["open_codes"].command.options[option], corpus) for option in OPEN_TABLES
    }
    opened = [*tables.values(), f"{folder}/settings/{OPEN_FILE}"] if ensemble.open else []
    options |= tables if ensemble.open else {}
    return {
        "desc": f"measure the models of {', '.join(rows)} as one",
        "wdir": "../..",
        "cmd": StageCommand("stages/studies/study_ensemble.py", options).render(),
        "deps": [
            f"{CODE}/study_ensemble.json", inputs, codes, params, *(f"{runs}/{row}" for row in rows), *opened,
        ],
        "outs": [{out: {"cache": False}}],
    }  # fmt: skip


def _settings_stage(study: Study, script: str, desc: str, out: str, out_options: dict[str, bool]) -> dict[str, Any]:
    folder = f"studies/{study.name}"
    options = SETTINGS_OPTIONS | {"--study": f"{folder}/{FILE}", "--out": f"{folder}/{out}"}
    origins = sorted({study.origin(name).study.name for name in study.definition.rows} | {study.name})
    return {
        "desc": desc,
        "wdir": "../..",
        "cmd": StageCommand(f"stages/studies/{script}.py", options).render(),
        "deps": [
            "configs/models",
            PARAMS_FILE,
            # The digests, and the models whose parameters are counted, depend on names in the settings.
            "src/medcode",
            "stages",
            SETTINGS_FILE,
            *_published(study),
            *(f"studies/{name}/{FILE}" for name in origins),
        ],
        "outs": [{f"{folder}/{out}": out_options}],
    }


def _published(study: Study) -> list[str]:
    """Return the file of the study's paper, if it has one."""
    return [] if study.definition.paper is None else [f"studies/published/{study.definition.paper}.yaml"]


def _report_stage(study: Study) -> dict[str, Any]:
    folder, corpus = f"studies/{study.name}", study.definition.corpus
    deps = {f"{folder}/{FILE}", f"{CODE}/study_report.json", SETTINGS_FILE, *_published(study)}
    if study.counts_only:
        deps.add(f"{folder}/parameters.json")
    elif study.runs():
        deps |= {f"{folder}/runs/{corpus}", f"{folder}/settings"}
        deps |= {f"{folder}/ensembles/{name}.json" for name in study.definition.ensembles}
        deps |= {f"{folder}/evidence/{corpus}"} if study.definition.evidence else set()
    for name in [] if study.counts_only else study.definition.rows:
        trained = study.trained_by(name)
        if trained.study is not study:
            trained_folder = f"studies/{trained.study.name}"
            for label_set in study.label_sets(name):
                deps.add(f"{trained_folder}/runs/{corpus}/{label_set}/{trained.name}")
                deps.add(f"{trained_folder}/settings/{label_set}/{trained.name}")
        deps.add(f"studies/{study.origin(name).study.name}/{FILE}")
    outs = ["figures", "report.html", "results.json", "table.csv", "table.md"]
    outs += ["evidence.csv"] if study.definition.evidence else []
    options = {"--params": PARAMS_FILE, "--study": f"{folder}/{FILE}", "--out": folder}
    return {
        "desc": "the table, the figures and the report page",
        "wdir": "../..",
        "cmd": StageCommand("stages/studies/study_report.py", options).render(),
        "deps": sorted(deps),
        "outs": [{f"{folder}/{out}": {"cache": False}} for out in outs],
    }


def read_data(root: Path, studies: Iterable[Study]) -> DataPipeline:
    """Return the main workflow with the paths of the data that some studies train on.

    Args:
        root: the root of the repository.
        studies: the studies.

    Raises:
        UserError: the main dvc.yaml cannot be read, or has a command that `StageCommand` cannot parse.
    """
    studies = list(studies)
    trained = [
        (study.definition.corpus, group.label_set, group.encoder)
        for study in studies
        for group in run_groups(study).values()
    ]
    values = [sorted(set(column)) for column in zip(*trained, strict=True)] or [[], [], []]
    sources = {study.definition.corpus: study.source for study in studies}
    workflow = parse_stages(config.read_yaml(root / "dvc.yaml"))
    return DataPipeline(workflow, dict(zip(("corpus", "label_set", "encoder"), values, strict=True)), sources)


def write(study: Study, root: Path) -> None:
    """Write the pipelines of a study and of the studies whose trainings it shares, and the data pipeline."""
    involved = {study.name: study}
    for row in study.definition.rows:
        trained = study.trained_by(row).study
        involved[trained.name] = trained
    data = read_data(root, [*involved.values(), *_other_studies(root, involved)])
    if data.values["corpus"]:
        _write_yaml(root / "studies/data/dvc.yaml", data.pipeline(), "the main dvc.yaml")
    for member in involved.values():
        _write_yaml(root / "studies" / member.name / "dvc.yaml", study_pipeline(member, data), FILE)


def _other_studies(root: Path, involved: Container[str]) -> Iterator[Study]:
    """Yield the other studies with a pipeline, which the data pipeline must keep serving."""
    for name in names(root / "studies"):
        if name not in involved and (root / "studies" / name / "dvc.yaml").exists():
            with contextlib.suppress(UserError):  # an invalid study is reported when it is run
                yield load(root / "studies", name)


def _write_yaml(path: Path, content: dict[str, Any], source: str) -> None:
    text = HEAD.format(source=source) + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        io.write_text(path, text)


@dataclass(frozen=True)
class Training:
    """A training of a study.

    Attributes:
        target: of `dvc repro`.
        settings: path of the files with its settings, without suffixes.
        inputs: folder of its documents and labels.
    """

    target: str
    settings: str
    inputs: str


def trainings(study: Study, root: Path, prefix: str = "") -> list[Training]:
    """Return the trainings of a study; with PREFIX, the measurements of their evidence."""
    data, corpus = read_data(root, [study]), study.definition.corpus
    return [
        Training(
            f"studies/{study.name}/dvc.yaml:{prefix}{name}@{row}-{seed}",
            f"studies/{study.name}/settings/{group.label_set}/{row}/{seed}",
            data.study_path("data/inputs", corpus, label_set=group.label_set, encoder=group.encoder),
        )
        for name, group in run_groups(study).items()
        for row in group.rows
        for seed in study.definition.seeds
    ]


def data_targets(study: Study, root: Path) -> list[str]:
    """Return the targets of `dvc repro` for the data that the trainings of a study read."""
    data, groups = read_data(root, [study]), run_groups(study)
    targets = [
        data.target(dep, study.definition.corpus, label_set=group.label_set, encoder=group.encoder)
        for group in groups.values()
        for dep in _data_deps(data)
    ]
    return [*dict.fromkeys(targets), f"studies/{study.name}/dvc.yaml:settings"] if groups else []
