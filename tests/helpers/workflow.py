"""Copies of the project in separate folders, with a corpus small enough to run the workflow in seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from audit import Audit

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    ".dvc/config", ".dvc/plots", ".dvcignore", ".gitignore", "benchmarks", "configs", "data/splits-published/none",
    "dvc.yaml", "params.yaml", "reference/codes", "reference/official/README.md", "reference/package",
    "reference/synonyms", "reference/titles", "requirements.txt", "src", "stages",
    "studies/data/settings.yaml", "studies/published",
)  # fmt: skip
RAN = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)

STAGES = {
    "check", "synthesize", "reference", "extract", "tokenize", "split", "word2vec", "encoder", "subword", "sentences",
    "pretrain", "corpus_stats", "inputs", "knowledge", "baseline", "recipe", "train", "open_codes", "calibrate",
    "evaluate", "explain", "report", "coverage", "gem", "publish",
    *(f"{stage}@{name}" for stage in ("label_set", "ccs") for name in (
        "top50", "top50_extra", "full", "icd9", "icd10", "joint", "open"
    )),
}  # fmt: skip
# Stages that the report does not need, with the label set top50 or full.
OUTSIDE_REPORT = {
    "coverage", "publish",
    *(f"label_set@{name}" for name in ("top50_extra", "icd9", "icd10", "open")),
    *(f"ccs@{name}" for name in ("top50_extra", "icd9", "icd10", "joint", "open")),
}  # fmt: skip
FROM_EVALUATE = {"evaluate", "report", "publish"}
FROM_OPEN = {"open_codes", *FROM_EVALUATE}
FROM_CALIBRATE = {"calibrate", *FROM_EVALUATE}
FROM_TRAIN = {"train", "explain", *FROM_OPEN, *FROM_CALIBRATE}
FROM_RECIPE = {"recipe", *FROM_TRAIN}
FROM_MODEL = FROM_RECIPE  # and `knowledge`, if one of the two models needs what the other does not
FROM_ENCODER = {"encoder", "subword", "sentences", "pretrain", *FROM_TRAIN}
CCS = {stage for stage in STAGES if stage.startswith("ccs@")}
JOINT = ("corpus=synthetic-mimic4", "label_set=joint", "split.min_occurrences=3")
FROM_EXTRACT = STAGES - {"check", "synthesize", "reference"}

TWO_EPOCHS = {"recipes": {"quick": {"epochs": 2, "batch_size": 32}}}
SMALL = {
    "recipe": "quick",
    "synthesize": {"admissions": 220, "mean_words": 120, "other_notes": 0.5},
    "word2vec": {"size": 12, "epochs": 1},
    "encoders": {"scratch-tiny": {"scratch": {"vocabulary_size": 300, "layers": 1, "hidden": 16, "feed_forward": 32}}},
    "pretrain": {"batch_size": 4, "block_size": 32},
    "training": {"threads": 1, "padding": 0.3},
}
SMALL_OPTIONS = {
    "attentive_lstm": {"character_size": 6, "hidden": 8},
    "bert_hier": {"chunk": 40},
    "bert_trun": {"chunk": 40},
    "bigru": {"width": 8},
    "bigru_label_attention": {"hidden": 4},
    "caml": {"filters": 6, "kernel": 4},
    "cnn": {"filters": 8},
    "dcan": {"hidden": 6, "projection": 6},
    "dr_caml": {"filters": 6, "kernel": 4},
    "fusion": {"filters": 4, "kernels": [3, 5], "feed_forward": 8},
    "gatedcnn_nci": {"hidden": 6},
    "gki_icd": {"chunk": 40},
    "jams": {"backbones": {"caml": {"filters": 6, "kernel": 4}, "laat": {"hidden": 4, "projection": 4}}},
    "joint_laat": {"hidden": 4, "projection": 4, "level_projection": 4},
    "laat": {"hidden": 4, "projection": 4},
    "linear": {"max_features": 500},
    "marn": {"hidden": 4},
    "mt_ram": {"hidden": 4},
    "multirescnn": {"filters": 4, "kernels": [3, 5]},
    "plm_ca": {"chunk": 40},
    "plm_icd": {"chunk": 40},
}


def model_file(model: str) -> str:
    """Return the path of a model's file within the project."""
    return f"configs/models/{model}.yaml"


def copy_files(folder: Path) -> None:
    """Copy the files of the workflow, without data, results or tests."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


class Project:
    """A copy of the project.

    Args:
        folder: folder of the copy.
        changes: differences from the parameters of the small corpus, nested as in params.yaml.
    """

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder = folder
        copy_files(folder)
        self.set(SMALL)
        for model, options in SMALL_OPTIONS.items():
            self.set({"options": options, **({} if model == "linear" else TWO_EPOCHS)}, model_file(model))
        self.set(changes or {})
        self.run("git", "init", "--quiet")
        self.commit()

    def set(self, changes: dict[str, Any], file: str = "params.yaml") -> None:
        """Change params.yaml or a model's file, written as DVC writes it."""
        from dvc.utils.serialize import modify_yaml  # here, because tests on a GPU do without DVC

        with modify_yaml(self.folder / file) as params:
            merge(params, changes)

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.run("git", *author, "commit", "--quiet", "--allow-empty", "--message", "state")

    def reset(self) -> None:
        """Reset to the last commit, and remove checkpoints."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        self.run("git", "reset", "--quiet", "--hard")
        self.run("dvc", "checkout", "--force", "--allow-missing")
        self._publish()

    def _publish(self) -> None:
        """Write models/current, which DVC leaves alone, as the stage does."""
        from medcode.inference.published import Parts, publish

        parts = ("models/trained", "models/open", "models/calibration", *(
            f"metrics/{name}.json" for name in ("train", "test", "baseline")
        ))  # fmt: skip
        publish(Parts(*(self.folder / part for part in parts)), self.folder / "models/current")

    def copy(self, folder: Path) -> Self:
        """Return a copy of the project in its current state, with all outputs and DVC's cache."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self).at(folder)

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the project in an existing folder."""
        project = object.__new__(cls)
        project.folder = folder
        return project

    def repro(self, *targets: str, **environment: str) -> set[str]:
        """Run `dvc repro` and return the stages that ran."""
        return set(RAN.findall(self.run("dvc", "repro", *targets, **environment).stdout))

    def experiment(self, *changes: str, targets: tuple[str, ...] = ()) -> set[str]:
        """Run `dvc exp run -S ...` and return the stages that ran."""
        settings = [part for change in changes for part in ("-S", change)]
        return set(RAN.findall(self.run("dvc", "exp", "run", *settings, *targets).stdout))

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command in the copy, with the code of the copy."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {
            "PATH": path,
            "PYTHONPATH": str(self.folder / "src"),
            "DVC_NO_ANALYTICS": "true",
        }
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | variables | environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
        return result

    def command(self, stage: str) -> list[str]:
        """Return the last command of a stage, from dvc.lock."""
        return yaml.safe_load(self.read("dvc.lock"))["stages"][stage]["cmd"].split()

    def text(self, name: str) -> str:
        """Return the content of a text file."""
        return self.read(name).decode()

    def write(self, name: str, text: str) -> None:
        """Write a text file."""
        (self.folder / name).write_text(text)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.folder / name).read_bytes()


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Project:
    """Return the project `medcode` in a folder that all processes of a test run share.

    Args:
        factory: source of the temporary folder of the test run.
        name: name of the shared folder.
        make: function that fills the folder.
    """
    base = factory.getbasetemp()
    # With pytest-xdist each worker has a folder within that of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    from filelock import FileLock

    with FileLock(f"{folder}.lock"):
        if not (done := folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    project = Project.at(folder / "medcode")
    project.audit = Audit.at(folder / "audit", project.folder)
    return project


def merge(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Merge nested values into `old` in place."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            merge(old[key], value)
        else:
            old[key] = value
