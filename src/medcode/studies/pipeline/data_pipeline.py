"""studies/data/dvc.yaml: the stages of the main workflow between a corpus and the inputs of a training.

The main workflow makes the data of the one corpus, label set and encoder that params.yaml names. Studies need several
at once, so the same stages are repeated as a matrix with separate folders under data/studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from string import Template
from typing import Any

from medcode.errors import UserError
from medcode.studies.definition import datasets
from medcode.studies.pipeline.workflow import PARAMS_FILE, Stage, StageCommand, ancestors, producer

ROOT = PurePosixPath("data/studies")
PUBLISHED_SPLITS = PurePosixPath("data/splits-published")
CODE = PurePosixPath("data/code")  # digests of the code of each stage
MOVED_FOLDERS = (PurePosixPath("data"), PurePosixPath("metrics"))
RAW = PurePosixPath("data/raw")
SHARED_FOLDERS = (RAW, PurePosixPath("data/reference"))  # the same for all corpora
SETTINGS_FILE = str("studies" / datasets.SETTINGS)
SETTINGS_OPTIONS = {"--params": PARAMS_FILE, "--models": "configs/models", "--changes": SETTINGS_FILE}
# Stages that measure a corpus, or belong to the model of the main workflow.
EXCLUDED_STAGES = {"baseline", "corpus_stats", "coverage", "recipe", "train"}
# Keys of params.yaml besides the corpus that select outputs: one folder for each value.
AXES = ("label_set", "encoder")


class DataPipeline:
    """The data stages of the main workflow, with the paths of their files in the studies.

    Args:
        workflow: the stages of the main dvc.yaml.
        values: values of the matrix, {corpus: [...], label_set: [...], encoder: [...]}.
        sources: the corpus of each value that names a part of one.
    """

    def __init__(
        self, workflow: dict[str, Stage], values: dict[str, list[str]], sources: Mapping[str, str] | None = None
    ) -> None:
        self.workflow = workflow
        self.values = values
        self.sources = sources or {}
        chains = {name: parents | {name} for name, parents in ancestors(workflow).items()}
        self.stages = {
            name: stage
            for name, stage in workflow.items()
            if "extract" in chains[name] and not chains[name] & EXCLUDED_STAGES
        }
        self.axes = {
            name: [axis for axis in AXES if any(workflow[ancestor].refers_to(axis) for ancestor in chains[name])]
            for name in self.stages
        }

    def study_path(self, path: str, corpus: str, **axes: str) -> str:
        """Return the studies' path for a path of the main workflow. Any other value is returned unchanged.

        Args:
            path: from the main dvc.yaml.
            corpus: name, or a reference to the matrix.
            axes: value of each axis, or a reference to the matrix.
        """
        moved = self._moved(PurePosixPath(path), ROOT / corpus, axes)
        name = self.sources.get(corpus, corpus) if moved.is_relative_to(RAW) else corpus
        return Template(str(moved)).safe_substitute(corpus=name, **axes)

    def _moved(self, path: PurePosixPath, folder: PurePosixPath, axes: dict[str, str]) -> PurePosixPath:
        if path.is_relative_to(PUBLISHED_SPLITS):
            return folder / "settings/published"
        if path.is_relative_to(CODE):
            return folder / "settings" / path.relative_to("data")
        if any(path.is_relative_to(shared) for shared in SHARED_FOLDERS):
            return path
        if not any(path.is_relative_to(top) for top in MOVED_FOLDERS):
            return path
        moved = folder / (path.relative_to("data") if path.is_relative_to("data") else path)
        made_by = producer(self.workflow, str(path))
        values = [axes[axis] for axis in self.axes.get(made_by or "", []) if not _has_axis(path, axis)]
        return moved.parent.joinpath(*values, moved.name) if path.suffix else moved.joinpath(*values)

    def study_command(self, command: StageCommand, corpus: str, **axes: str) -> StageCommand:
        """Return the command of a data stage with the paths and the parameters of a corpus of the studies.

        Args:
            command: from the main dvc.yaml.
            corpus, axes: as for `study_path`.
        """
        params = str(ROOT / corpus / "settings" / f"{axes.get('encoder', 'params')}.yaml")
        moved = command.map_values(lambda value: self.study_path(value, corpus, **axes))
        return moved.replace_options({"--params": params})

    def target(self, path: str, corpus: str, **axes: str) -> str:
        """Return the target of `dvc repro` that makes a path of the main workflow for a corpus.

        Raises:
            UserError: no data stage makes the path.
        """
        name = producer(self.workflow, path)
        if name not in self.stages:
            raise UserError(f"dvc.yaml: no stage between a corpus and the inputs of a training makes {path}")
        variables = [*self.axes[name], *self.stages[name].matrix]
        values = [corpus, *(axes[variable] for variable in variables)]
        stage = f"{name}-{values.pop(0)}" if _reads_raw(self.stages[name]) else name
        return f"studies/data/dvc.yaml:{stage}" + (f"@{'-'.join(values)}" if values else "")

    def pipeline(self) -> dict[str, Any]:
        """Return the content of studies/data/dvc.yaml."""
        stages: dict[str, Any] = {"settings": _settings_stage(self.values["corpus"])}
        for name, stage in self.stages.items():
            if _reads_raw(stage):  # a matrix cannot map the name of a part to its corpus
                stages |= {
                    f"{name}-{corpus}": self._stage(name, {"corpus": corpus}) for corpus in self.values["corpus"]
                }
            else:
                stages[name] = self._stage(name, {})
        return {"stages": stages}

    def _stage(self, name: str, fixed: dict[str, str]) -> dict[str, Any]:
        """Return a stage, with a matrix of the values that are not fixed."""
        stage = self.stages[name]
        matrix = {axis: self.values[axis] for axis in ("corpus", *self.axes[name]) if axis not in fixed}
        items = {axis: f"${{item.{axis}}}" for axis in matrix} | fixed
        settings = ROOT / items["corpus"] / "settings"
        varying = {"matrix": matrix | stage.matrix} if matrix or stage.matrix else {}
        return {
            "desc": stage.desc,
            "wdir": "../..",
            **varying,
            "cmd": self.study_command(stage.command, **items).render(),
            "deps": [str(settings / section) for section in _section_files(stage)]
            + [self.study_path(dep, **items) for dep in stage.deps],
            # Metrics and plots are plain outputs here: apart from other outputs, or DVC would not cache its runs.
            "outs": [{self.study_path(out, **items): {"push": False}} for out in stage.outs],
        }


def _reads_raw(stage: Stage) -> bool:
    """Whether a stage reads the files of a corpus."""
    return any(PurePosixPath(dep).is_relative_to(RAW) for dep in stage.deps)


def _section_files(stage: Stage) -> list[str]:
    """Return the files with the sections of params.yaml that a stage depends on.

    Raises:
        UserError: the stage depends on keys of another file, which the studies do not split into sections.
    """
    if other_files := stage.params.keys() - {PARAMS_FILE}:
        raise UserError(
            f"dvc.yaml: {stage.command.script}: expected params of {PARAMS_FILE}, found {', '.join(other_files)}"
        )
    sections = dict.fromkeys(key.split(".")[0] for key in stage.params.get(PARAMS_FILE, ()))
    return [
        "sections/encoder-${item.encoder}.yaml" if section == "encoders" else f"sections/{section}.yaml"
        for section in sections
        if section != "encoder"
    ]


def _has_axis(path: PurePosixPath, axis: str) -> bool:
    """Whether a path already contains the variable of an axis."""
    return any(f"${{{variable}}}" in str(path) for variable in (axis, f"item.{axis}"))


def _settings_stage(corpora: list[str]) -> dict[str, Any]:
    corpus = "${item.corpus}"
    folder = str(ROOT / corpus / "settings")
    options = SETTINGS_OPTIONS | {"--corpus": corpus, "--lists": str(PUBLISHED_SPLITS), "--out": folder}
    return {
        "desc": "params.yaml and published splits as the studies want them for a corpus",
        "wdir": "../..",
        "matrix": {"corpus": corpora},
        "cmd": StageCommand("stages/studies/study_data.py", options).render(),
        "deps": [
            "configs/models",
            str(PUBLISHED_SPLITS),
            PARAMS_FILE,
            "src/medcode",
            "stages",
            SETTINGS_FILE,
        ],
        "outs": [{folder: {"push": False}}],
    }
