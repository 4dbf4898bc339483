"""Writes the DVC pipelines of the studies: studies/<name>/dvc.yaml, and studies/data/dvc.yaml with what all read.

They are written from study.yaml, and from the stages of the main dvc.yaml that make data: nothing is said twice.
A study's pipeline exists from its first run on: a few hundred stages that nobody runs would slow every `dvc` command.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from medcode import io
from medcode.config import Corpora
from medcode.studies.study import FILE, Study

HEAD = "# Written by `make study` from {source}: change that instead.\n"
CODE = ("config", "errors.py", "io.py")
# Stages that measure a corpus or lead to the one model of the main workflow.
NOT_DATA = {"describe", "coverage", "train"}
SETTINGS = "--params params.yaml --base params.yaml --changes studies/data/settings.yaml"
SHARED = r"\bdata/(?!raw/|reference/)"  # folders of data that every corpus has its own of


def data_stages(workflow: dict[str, Any]) -> dict[str, Any]:
    """The stages of the main workflow between a corpus and the inputs of a training.

    Args:
        workflow: the content of the main dvc.yaml.
    """
    stages = workflow["stages"]
    made: dict[str, str] = {}
    for name, stage in stages.items():
        made |= {_path(out): name for out in stage["outs"]}

    def above(name: str) -> set[str]:
        found = {
            owner
            for dep in stages[name].get("deps", [])
            for out, owner in made.items()
            if _meets(_bare(dep), _bare(out))
        }
        return {name} | {upper for owner in found - {name} for upper in above(owner)}

    ancestors = {name: above(name) for name in stages}
    return {n: stages[n] for n, found in ancestors.items() if "extract" in found and not found & NOT_DATA}


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _bare(path: str) -> str:
    """A path up to its first variable part."""
    return path.split("${", 1)[0].rstrip("/")


def _meets(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def data_pipeline(workflow: dict[str, Any], label_sets: tuple[str, ...]) -> str:
    """The content of studies/data/dvc.yaml: the data stages of the main workflow, once for each corpus."""
    stages: dict[str, Any] = {"settings": _data_settings()}
    for name, stage in data_stages(workflow).items():
        axes = {"corpus": Corpora.names(), **stage.get("matrix", {})}
        if "${label_set}" in str(stage):
            axes["label_set"] = list(label_sets)
        moved = {
            "desc": stage["desc"],
            "wdir": "../..",
            "matrix": axes,
            "cmd": _moved(stage["cmd"]),
            "deps": [f"data/studies/${{item.corpus}}/settings/{key.split('.')[0]}.yaml" for key in stage["params"]]
            + [_moved(dep) for dep in stage["deps"] if dep != "data/checked.json"],
            "outs": [{_moved(_path(out)): {"push": False}} for out in stage["outs"]],
        }
        stages[name] = moved
    return HEAD.format(source="the main dvc.yaml") + _yaml({"stages": stages})


def _data_settings() -> dict[str, Any]:
    folder = "data/studies/${item.corpus}/settings"
    return {
        "desc": "params.yaml and published splits as the studies want them for a corpus",
        "wdir": "../..",
        "matrix": {"corpus": Corpora.names()},
        "cmd": f"python stages/study_data.py {SETTINGS} "
        "--corpus ${item.corpus} --lists data/splits-published --out " + folder,
        "deps": [
            "data/splits-published",
            "params.yaml",
            "stages/common.py",
            "stages/study_data.py",
            "studies/data/settings.yaml",
            *(f"src/medcode/{name}" for name in (*CODE, "studies")),
        ],
        "outs": [{folder: {"push": False}}],
    }


def _moved(text: str) -> str:
    """A command or path of the main workflow, for a corpus of the studies."""
    own = "data/studies/${item.corpus}"
    text = text.replace("data/splits-published/${split.published}", "@lists@").replace("data/inputs", "@inputs@")
    text = re.sub(SHARED, f"{own}/", text)
    text = re.sub(r"\bmetrics/(?=\S+\.json)", f"{own}/metrics/", text)
    text = text.replace("--params params.yaml", f"--params {own}/settings/params.yaml")
    text = text.replace("@lists@", f"{own}/settings/published").replace("@inputs@", f"{own}/inputs/${{item.label_set}}")
    return " ".join(re.sub(r"\$\{(corpus|label_set)\}", r"${item.\1}", text).split())


def study_pipeline(study: Study) -> str:
    """The content of studies/<name>/dvc.yaml."""
    definition, folder = study.definition, f"studies/{study.name}"
    stages: dict[str, Any] = {}
    if runs := study.runs():
        stages["settings"] = _settings(study)
    for label_set, rows in runs.items():
        run = f"{folder}/runs/{definition.corpus}/{label_set}/${{item.row}}/${{item.seed}}"
        settings = f"{folder}/settings/{label_set}/${{item.row}}/${{item.seed}}"
        inputs = f"data/studies/{definition.corpus}/inputs/{label_set}"
        stages[label_set] = {
            "desc": f"train and measure each row on {label_set}",
            "wdir": "../..",
            "matrix": {"row": rows, "seed": definition.seeds},
            "cmd": _run_commands(study, label_set, run, settings, inputs),
            "deps": [inputs, f"{settings}.json", "stages/study_finish.py"],
            "outs": [{run: {"push": False}}],
        }
    if "parameters" in definition.figures:
        stages["parameters"] = _parameters(study)
    stages["report"] = _report(study)
    return HEAD.format(source=FILE) + _yaml({"stages": stages})


def _run_commands(study: Study, label_set: str, run: str, settings: str, inputs: str) -> list[str]:
    # The model is not kept: it is large, and restricted where the notes are.
    model = f"models/studies/{study.name}/{study.definition.corpus}-{label_set}-${{item.row}}-${{item.seed}}"
    common = f"--params {settings}.yaml --inputs {inputs} --model {model}"
    vectors = f" --label-vectors {run}/label_vectors.npz" if "embeddings" in study.definition.figures else ""
    return [
        f"python stages/train.py {common} --checkpoints checkpoints --timings {run}/epochs.jsonl "
        f"--curve {run}/learning_curve.csv --metrics {run}/train.json",
        f"python stages/evaluate.py {common} --metrics {run}/test.json --frequency {run}/frequency_f1.csv "
        f"--predictions {run}/predictions.npz",
        f"python stages/study_finish.py --params {settings}.yaml --model {model} --out {run}/environment.json{vectors}",
    ]


def _settings(study: Study) -> dict[str, Any]:
    folder = f"studies/{study.name}"
    origins = sorted({study.origin(name).study.name for name in study.definition.rows} | {study.name})
    return {
        "desc": "the params.yaml of each row and seed, and what its training rests on",
        "wdir": "../..",
        "cmd": f"python stages/study_settings.py {SETTINGS} --study {folder}/{FILE} --out {folder}/settings",
        "deps": [
            "params.yaml",
            "src/medcode",
            "stages/common.py",
            "stages/evaluate.py",
            "stages/study_settings.py",
            "stages/train.py",
            "studies/data/settings.yaml",
            f"studies/published/{study.definition.paper}.yaml",
            *(f"studies/{name}/{FILE}" for name in origins),
        ],
        "outs": [{f"{folder}/settings": {"push": False}}],
    }


def _parameters(study: Study) -> dict[str, Any]:
    stage = _settings(study)
    stage["desc"] = "count the parameters of each row at the papers' sizes"
    out = f"studies/{study.name}/parameters.json"
    stage["cmd"] = f"python stages/study_parameters.py {SETTINGS} --study studies/{study.name}/{FILE} --out {out}"
    stage["deps"] = [dep.replace("study_settings.py", "study_parameters.py") for dep in stage["deps"]]
    stage["outs"] = [{out: {"cache": False}}]
    return stage


def _report(study: Study) -> dict[str, Any]:
    definition, folder = study.definition, f"studies/{study.name}"
    corpus = definition.corpus
    deps = {
        f"{folder}/{FILE}",
        f"studies/published/{definition.paper}.yaml",
        "stages/common.py",
        "stages/study_report.py",
    }
    deps |= {f"src/medcode/{name}" for name in (*CODE, "evaluation", "report", "studies")}
    if study.runs():
        deps |= {f"{folder}/runs/{corpus}", f"{folder}/settings"}
    if "parameters" in definition.figures:
        deps.add(f"{folder}/parameters.json")
    else:
        for name in definition.rows:
            by = study.trained_by(name)
            if by.study is not study:
                other = f"studies/{by.study.name}"
                deps.add(f"{other}/{FILE}")
                for label_set in study.label_sets(name):
                    deps |= {f"{other}/{kind}/{label_set}/{by.name}" for kind in (f"runs/{corpus}", "settings")}
    if "linkage" in definition.figures:
        deps.add(f"data/studies/{corpus}/gem.parquet")
    outs = ["figures", "report.html", "results.json", "table.csv", "table.md"]
    return {
        "desc": "the table, the figures and the report page",
        "wdir": "../..",
        "cmd": f"python stages/study_report.py --params params.yaml --study {folder}/{FILE} --out {folder}",
        "deps": sorted(deps),
        "outs": [{f"{folder}/{out}": {"cache": False}} for out in outs],
    }


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True, default_flow_style=False)


def write(study: Study, root: Path) -> None:
    """Writes the pipelines of a study, of the data, and of the studies whose trainings it shows.

    Args:
        root: the root of the repository.
    """
    from typing import get_args

    from medcode.config import LabelSet

    workflow = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    _write(root / "studies/data/dvc.yaml", data_pipeline(workflow, get_args(LabelSet)))
    involved = {study.name: study}
    for name in study.definition.rows:
        by = study.trained_by(name).study
        involved[by.name] = by
    for one in involved.values():
        _write(root / "studies" / one.name / "dvc.yaml", study_pipeline(one))


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        io.write_text(path, text)


def targets(study: Study, kind: str) -> list[str]:
    """Stages of a study for `dvc repro`: its `data` and settings, or its `runs`."""
    here = f"studies/{study.name}/dvc.yaml"
    runs = study.runs()
    if kind == "data":
        inputs = [f"studies/data/dvc.yaml:inputs@{study.definition.corpus}-{label_set}" for label_set in runs]
        return [f"{here}:settings", *inputs] if runs else []
    return [
        f"{here}:{label_set}@{row}-{seed}"
        for label_set, rows in runs.items()
        for row in rows
        for seed in study.definition.seeds
    ]
