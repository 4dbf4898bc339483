"""A copy of the project in a folder of its own, with a corpus small enough to run the workflow in seconds."""

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
    "dvc.yaml", "params.yaml", "reference/official/README.md", "reference/package", "requirements.txt", "src", "stages",
    "studies/data/settings.yaml", "studies/published",
)  # fmt: skip
RAN = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)

STAGES = {
    "check", "synthesize", "reference", "extract", "tokenize", "split", "word2vec", "encoder", "subword", "pretrain",
    "corpus_stats", "inputs", "train", "evaluate", "report", "coverage", "gem",
    *(f"{stage}@{name}" for stage in ("label_set", "ccs") for name in (
        "top50", "top50_extra", "full", "icd9", "icd10", "joint"
    )),
}  # fmt: skip
# Nothing that leads to the report needs them, with the label set top50 or full.
BESIDE = {
    "coverage",
    *(f"label_set@{name}" for name in ("top50_extra", "icd9", "icd10")),
    *(f"ccs@{name}" for name in ("top50_extra", "icd9", "icd10", "joint")),
}  # fmt: skip
FROM_TRAIN = {"train", "evaluate", "report"}
FROM_ENCODER = {"encoder", "subword", "pretrain", *FROM_TRAIN}
CCS = {stage for stage in STAGES if stage.startswith("ccs@")}
JOINT = ("corpus=synthetic-mimic4", "label_set=joint", "split.min_occurrences=3")
FROM_EXTRACT = STAGES - {"check", "synthesize", "reference"}

TWO_EPOCHS = {"recipes": {"quick": {"epochs": 2, "batch_size": 32}}}
SMALL = {
    "synthesize": {"admissions": 220, "mean_words": 120, "other_notes": 0.5},
    "word2vec": {"size": 12, "epochs": 1},
    "encoders": {"scratch-tiny": {"scratch": {"pieces": 300, "layers": 1, "hidden": 16, "feed_forward": 32}}},
    "pretrain": {"batch_size": 4, "pieces": 32},
    "training": {"threads": 1, "padding": 0.3},
}
SMALL_OPTIONS = {
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
    "jams": {"backbones": {"caml": {"filters": 6, "kernel": 4}, "laat": {"hidden": 4, "projection": 4}}},
    "joint_laat": {"hidden": 4, "projection": 4, "level_projection": 4},
    "laat": {"hidden": 4, "projection": 4},
    "marn": {"hidden": 4},
    "mt_ram": {"hidden": 4},
    "multirescnn": {"filters": 4, "kernels": [3, 5]},
    "plm_icd": {"chunk": 40},
}


def model_file(model: str) -> str:
    """The file of a model, within the project."""
    return f"configs/models/{model}.yaml"


def copy_files(folder: Path) -> None:
    """Copies what the workflow is made of, without data, results or tests."""
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
        folder: where to make it.
        changes: differences from the small corpus's parameters, nested as in params.yaml.
    """

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder = folder
        copy_files(folder)
        self.set(SMALL)
        for model, options in SMALL_OPTIONS.items():
            self.set({"options": options, **TWO_EPOCHS}, model_file(model))
        self.set(changes or {})
        self.run("git", "init", "--quiet")
        self.commit()

    def set(self, changes: dict[str, Any], file: str = "params.yaml") -> None:
        """Changes params.yaml, or a model's file, and leaves the rest as DVC's writer would."""
        from dvc.utils.serialize import modify_yaml  # here, because tests on a GPU do without DVC

        with modify_yaml(self.folder / file) as params:
            merge(params, changes)

    def commit(self) -> None:
        """Commits everything that git does not ignore."""
        self.run("git", "add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.run("git", *author, "commit", "--quiet", "--allow-empty", "--message", "state")

    def reset(self) -> None:
        """Goes back to what was committed, and forgets checkpoints."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        self.run("git", "reset", "--quiet", "--hard")
        self.run("dvc", "checkout", "--force", "--allow-missing")

    def copy(self, folder: Path) -> Self:
        """A copy as this project stands, with all that it made, DVC's cache included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self).at(folder)

    @classmethod
    def at(cls, folder: Path) -> Self:
        """A project that is there already."""
        project = object.__new__(cls)
        project.folder = folder
        return project

    def repro(self, *targets: str, **environment: str) -> set[str]:
        """Runs `dvc repro`; returns the stages that ran."""
        return set(RAN.findall(self.run("dvc", "repro", *targets, **environment).stdout))

    def experiment(self, *changes: str, targets: tuple[str, ...] = ()) -> set[str]:
        """Runs `dvc exp run -S ...`; returns the stages that ran."""
        settings = [part for change in changes for part in ("-S", change)]
        return set(RAN.findall(self.run("dvc", "exp", "run", *settings, *targets).stdout))

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Runs a command in the copy, with the copy's own code."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {
            "PATH": path,
            "PYTHONPATH": str(self.folder / "src"),
            "DVC_NO_ANALYTICS": "true",
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | variables | environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def command(self, stage: str) -> list[str]:
        """The command of a stage, as it ran last."""
        return yaml.safe_load(self.read("dvc.lock"))["stages"][stage]["cmd"].split()

    def text(self, name: str) -> str:
        """The content of a text file."""
        return self.read(name).decode()

    def write(self, name: str, text: str) -> None:
        """Writes a file."""
        (self.folder / name).write_text(text)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return (self.folder / name).read_bytes()


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Project:
    """The project `medcode` in a folder that is made once for all processes of a test run.

    Args:
        factory: where the test run has its temporary folders.
        name: of the folder.
        make: fills the folder.
    """
    base = factory.getbasetemp()
    # With pytest-xdist each worker has a folder of its own within that of the run.
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
    """Changes nested values in place."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            merge(old[key], value)
        else:
            old[key] = value
