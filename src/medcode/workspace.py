"""Links from the copy of the project in which DVC runs an experiment to untracked files in the workspace.

`dvc exp run --temp` and `--queue` work in a copy below .dvc/tmp, which holds only files tracked by git or DVC. A corpus
that the pipeline does not generate is deliberately tracked by neither, so the copy gets links to its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

DVC_ROOT = "DVC_ROOT"  # set by DVC in the stages of an experiment: the path of the workspace


def of_copy(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """Return the workspace that DVC copied the folder from, or None if the folder is no such copy.

    Args:
        folder: root of the project in which a stage runs.
        environment: environment variables of the stage.
    """
    if not environment.get(DVC_ROOT):
        return None
    workspace = Path(environment[DVC_ROOT]).resolve()
    return workspace if folder.resolve().is_relative_to((workspace / ".dvc").resolve()) else None


def link(workspace: Path, copy: Path, names: Iterable[str]) -> list[str]:
    """Link files, and folders file by file, of the workspace into the copy; return the names of what was linked.

    What the workspace lacks, or the copy already has, is skipped.

    Args:
        workspace: root of the source.
        copy: root of the target.
        names: paths below the root of the project. None may be an output of a stage: DVC would remove it.
    """
    linked = [name for name in names if (workspace / name).exists() and not (copy / name).exists()]
    for name in linked:
        source, target = workspace / name, copy / name
        if source.is_dir():
            _link_files(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.absolute())
    return linked


def _link_files(source: Path, target: Path) -> None:
    """Create a folder with a link to every file of another.

    A single link to the folder does not work: DVC does not follow links to folders within a dependency.
    """
    for folder, subfolders, files in os.walk(source):
        destination = target / Path(folder).relative_to(source)
        destination.mkdir(parents=True, exist_ok=True)
        for name in [*files, *(name for name in subfolders if Path(folder, name).is_symlink())]:
            (destination / name).symlink_to(Path(folder, name).absolute())
