"""studies/data/dvc.yaml: the stages of the main workflow between a corpus and the inputs of a training.

The main workflow makes the data of one corpus, one label set and one encoder, those that params.yaml names. Studies
need several side by side, so the same stages stand there once more, as a matrix, with folders of their own under
data/studies.
"""

from __future__ import annotations

import re
from typing import Any

ROOT = "data/studies"
LISTS = "data/splits-published"
SETTINGS = "--params params.yaml --models configs/models --changes studies/data/settings.yaml"
CODE = "data/code"  # digests of the code of each stage
# Stages that measure a corpus, or lead to the one model of the main workflow.
NOT_DATA = {"describe", "coverage", "train"}
# Outputs that other keys of params.yaml than the corpus choose, and so stand in a folder for each value.
AXES = ("label_set", "encoder")
SAME_FOR_ALL = ("data/raw/", "data/reference/")


class DataPipeline:
    """The data stages of a workflow, and where their files lie in the studies.

    Args:
        workflow: the content of the main dvc.yaml.
        values: what there is to be of each, {corpus: [...], label_set: [...], encoder: [...]}.
    """

    def __init__(self, workflow: dict[str, Any], values: dict[str, list[str]]) -> None:
        stages = workflow["stages"]
        self.values = values
        self.owner = {path: name for name, stage in stages.items() for path in _outs(stage)}
        above: dict[str, set[str]] = {}
        for name in stages:
            self._above(name, stages, above)
        self.stages = {
            n: stages[n] for n, found in above.items() if "extract" in found | {n} and not (found | {n}) & NOT_DATA
        }
        self.axes = {
            name: [axis for axis in AXES if any(_names(stages[upper], axis) for upper in above[name] | {name})]
            for name in self.stages
        }

    def _above(self, name: str, stages: dict[str, Any], above: dict[str, set[str]]) -> set[str]:
        """The stages that a stage depends on, directly or not; `above` keeps what was found."""
        if name not in above:
            owners = {owner for dep in stages[name].get("deps", []) if (owner := self._maker(dep)) and owner != name}
            above[name] = owners.union(*(self._above(owner, stages, above) for owner in owners))
        return above[name]

    def _maker(self, path: str) -> str | None:
        """The stage that makes a path, or what is in it, or the folder that it is in."""
        return next((owner for out, owner in self.owner.items() if _meets(_bare(path), _bare(out))), None)

    def moved(self, text: str, corpus: str, **chosen: str) -> str:
        """A command or a path of the main workflow, for a corpus of the studies.

        Args:
            text: of the main dvc.yaml.
            corpus: its name, or a reference to the matrix.
            chosen: the value of each axis, likewise.
        """
        own = f"{ROOT}/{corpus}"

        def place(found: re.Match[str]) -> str:
            path = found[0]
            if path.startswith(f"{LISTS}/"):
                return f"{own}/settings/published"
            if path.startswith(f"{CODE}/"):
                return f"{own}/settings/{path.removeprefix('data/')}"
            if path.startswith(SAME_FOR_ALL):
                return path
            folder = f"{own}/{path.removeprefix('data/')}"
            axes = [chosen[axis] for axis in self.axes.get(self._maker(path) or "", []) if not _chosen(path, axis)]
            if not axes:
                return folder
            if "." in path.rsplit("/", 1)[1]:
                parent, name = folder.rsplit("/", 1)
                return "/".join([parent, *axes, name])
            return "/".join([folder, *axes])

        text = re.sub(r"(?<![\w/])(data|metrics)/\S+", place, text)
        text = text.replace("--params params.yaml", f"--params {self._settings(own, chosen)}")
        for key, value in {"corpus": corpus, **chosen}.items():
            text = text.replace(f"${{{key}}}", value)
        return " ".join(text.split())

    @staticmethod
    def _settings(own: str, chosen: dict[str, str]) -> str:
        return f"{own}/settings/{chosen['encoder']}.yaml" if "encoder" in chosen else f"{own}/settings/params.yaml"

    def address(self, path: str, corpus: str, **chosen: str) -> str:
        """The stage, as `dvc repro` is told it, that makes a path of the main workflow for a corpus of the studies."""
        name = self._maker(path) or ""
        matrix = [*self.axes[name], *self.stages[name].get("matrix", {})]
        return f"studies/data/dvc.yaml:{name}@{'-'.join([corpus, *(chosen[key] for key in matrix)])}"

    def pipeline(self) -> dict[str, Any]:
        """The content of studies/data/dvc.yaml."""
        stages: dict[str, Any] = {"settings": _settings_stage(self.values["corpus"])}
        for name, stage in self.stages.items():
            matrix = {"corpus": self.values["corpus"]} | {axis: self.values[axis] for axis in self.axes[name]}
            items = {key: f"${{item.{key}}}" for key in matrix}
            stages[name] = {
                "desc": stage["desc"],
                "wdir": "../..",
                "matrix": matrix | stage.get("matrix", {}),
                "cmd": self.moved(stage["cmd"], **items),
                "deps": [f"{ROOT}/{items['corpus']}/settings/{section}" for section in _sections(stage)]
                + [self.moved(dep, **items) for dep in stage["deps"]],
                "outs": [{self.moved(path, **items): {"push": False}} for path in _outs(stage)],
            }
        return {"stages": stages}


def _sections(stage: dict[str, Any]) -> list[str]:
    """Files with the sections of params.yaml that a stage depends on."""
    sections = dict.fromkeys(key.split(".")[0] for key in stage.get("params", []))
    return [
        "sections/encoder-${item.encoder}.yaml" if key == "encoders" else f"sections/{key}.yaml"
        for key in sections
        if key != "encoder"
    ]


def _names(stage: dict[str, Any], axis: str) -> bool:
    return f"${{{axis}}}" in str(stage)


def _chosen(path: str, axis: str) -> bool:
    """Whether a path already has the value of the axis."""
    return f"${{{axis}}}" in path or f"${{item.{axis}}}" in path


def _outs(stage: dict[str, Any]) -> list[str]:
    """All that a stage makes, metrics and plots included: apart from other outputs, or DVC would not cache its runs."""
    return [_path(out) for key in ("outs", "metrics", "plots") for out in stage.get(key, [])]


def _path(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def _bare(path: str) -> str:
    """A path up to its first variable part."""
    return path.split("${", 1)[0].rstrip("/")


def _meets(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _settings_stage(corpora: list[str]) -> dict[str, Any]:
    folder = f"{ROOT}/${{item.corpus}}/settings"
    return {
        "desc": "params.yaml and published splits as the studies want them for a corpus",
        "wdir": "../..",
        "matrix": {"corpus": corpora},
        "cmd": f"python stages/studies/study_data.py {SETTINGS} --corpus ${{item.corpus}} "
        f"--lists {LISTS} --out {folder}",
        "deps": [
            "configs/models",
            LISTS,
            "params.yaml",
            "src/medcode",
            "stages",
            "studies/data/settings.yaml",
        ],
        "outs": [{folder: {"push": False}}],
    }
