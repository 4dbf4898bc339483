"""The workflow with every stage but `check` replaced by a stub: which stages rerun is asked of DVC alone, in seconds.

A stub writes something new whenever it runs, so the stages after it run too: the largest set that can follow from a
change. `check` is the real one, since what it writes decides which stages a change of code reaches.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx
import yaml
from dvc.repo import Repo
from dvc.utils.serialize import modify_yaml
from workflow import copy_files, merge

STUB = """
import sys, uuid
from pathlib import Path

for out in map(Path, sys.argv[1:]):
    for path in [out] if out.suffix else [out / "content", out / "labels.parquet"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex)
"""
OUTS = ("outs", "metrics", "plots")


class StubProject:
    """A copy of the project whose stages are stubs.

    Args:
        folder: where to make it.
        changes: differences from params.yaml.
    """

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder = folder
        copy_files(folder)
        (folder / "stub.py").write_text(STUB)
        stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
        stages = {name: stage if name == "check" else _stub(stage) for name, stage in stages.items()}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        self.set(changes or {})
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)

    def copy(self, folder: Path) -> StubProject:
        """A copy of this project as it stands, with all that it made."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = object.__new__(StubProject)
        other.folder = folder
        return other

    def set(self, changes: dict[str, Any], file: str = "params.yaml") -> None:
        """Changes a file of parameters."""
        with modify_yaml(self.folder / file) as params:
            merge(params, changes)

    def repro(self) -> set[str]:
        """Brings the workflow up to date; returns the stages that ran."""
        with self._repository() as repository:
            return {stage.addressing for stage in repository.reproduce()}

    def affected(self) -> set[str]:
        """The stages that would run: runs the command of `check`, asks DVC what changed, and adds all that follows.

        It comes to the same as `repro`, without a rewrite of dvc.lock for every stage, which takes most of the time.
        """
        with self._repository() as repository:
            (check,) = repository.stage.collect("check")
            subprocess.run(check.cmd, shell=True, check=True)
            changed, graph = repository.status(), repository.index.graph
            stages = [stage for stage in graph if stage.addressing in changed]
            # Edges lead from a stage to those that it depends on. What follows from `check` has itself changed, or not.
            follow = [networkx.ancestors(graph, stage) for stage in stages if stage != check]
            return {stage.addressing for stage in set(stages).union(*follow)}

    @contextlib.contextmanager
    def _repository(self) -> Iterator[Repo]:
        """DVC in this process, with the tools of this environment."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        before = dict(os.environ)
        os.environ["PATH"] = path
        try:
            with contextlib.chdir(self.folder), Repo() as repository:
                yield repository
        finally:
            os.environ.clear()
            os.environ.update(before)


def _stub(stage: dict[str, Any]) -> dict[str, Any]:
    outs = [next(iter(out)) if isinstance(out, dict) else out for key in OUTS for out in stage.get(key, [])]
    return stage | {"cmd": f"python -S -E stub.py {' '.join(outs)}"}
