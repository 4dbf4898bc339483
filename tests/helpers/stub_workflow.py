"""The workflow with a stub for nearly every stage, to test in seconds which stages DVC reruns.

A stub writes new content whenever it runs, so the stages after it run too: the largest possible set after a change.
`check`, `knowledge` and `recipe` are the real stages: their outputs decide which stages a change of code, of synonyms
or of a recipe affects.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
REAL = ("check", "knowledge", "recipe")


class StubProject:
    """A copy of the project whose stages are stubs.

    Args:
        folder: folder of the copy.
        changes: differences from params.yaml.
    """

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder = folder
        copy_files(folder)
        (folder / "stub.py").write_text(STUB)
        stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
        stages = {name: stage if name in REAL else _stub(stage) for name, stage in stages.items()}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        self.set({"recipe": "quick"} | (changes or {}))
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)

    def copy(self, folder: Path) -> StubProject:
        """Return a copy of this project in its current state, with all outputs."""
        shutil.copytree(self.folder, folder, symlinks=True)
        project = object.__new__(StubProject)
        project.folder = folder
        return project

    def set(self, changes: dict[str, Any], file: str = "params.yaml") -> None:
        """Change a parameter file."""
        with modify_yaml(self.folder / file) as params:
            merge(params, changes)

    def repro(self) -> set[str]:
        """Bring the workflow up to date and return the stages that ran."""
        with self._repository() as repository:
            return {stage.addressing for stage in repository.reproduce()}

    def affected(self, real_stages: Sequence[str] = REAL) -> set[str]:
        """Run the commands of the real stages and return the stages that would run: changed ones and all after them.

        The result is that of `repro`, without rewriting dvc.lock for every stage, which takes most of the time.

        Args:
            real_stages: those that run; the others are taken to write new content.
        """
        with self._repository() as repository:
            real = [stage for name in real_stages for stage in repository.stage.collect(name)]
            for stage in real:
                subprocess.run(stage.cmd, shell=True, check=True)
            changed, graph = repository.status(), repository.index.graph
            stages = [stage for stage in graph if stage.addressing in changed]
            # Edges lead from a stage to its dependencies. A stage after a real one counts only if it changed itself.
            downstream = [networkx.ancestors(graph, stage) for stage in stages if stage not in real]
            return {stage.addressing for stage in set(stages).union(*downstream)}

    @contextlib.contextmanager
    def _repository(self) -> Iterator[Repo]:
        """Open the repository with DVC in this process, with the tools of this environment."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = dict(os.environ)
        os.environ["PATH"] = path
        try:
            with contextlib.chdir(self.folder), Repo() as repository:
                yield repository
        finally:
            os.environ.clear()
            os.environ.update(environment)


def _stub(stage: dict[str, Any]) -> dict[str, Any]:
    outs = [next(iter(out)) if isinstance(out, dict) else out for key in OUTS for out in stage.get(key, [])]
    return stage | {"cmd": f"python -S -E stub.py {' '.join(outs)}"}
