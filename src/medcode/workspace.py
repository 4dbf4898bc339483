"""What a copy of the project, in which DVC runs an experiment, takes from the workspace.

`dvc exp run --temp` and `--queue` work in a copy below .dvc/tmp that holds what git and DVC track. A corpus that the
workflow does not make is in neither, on purpose, so the copy gets links to its files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

DVC_ROOT = "DVC_ROOT"  # DVC tells the stages of an experiment where its workspace is


def of_copy(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """The workspace, where the folder is a copy of it that DVC made; else None.

    Args:
        folder: the root of the project that a stage runs in.
        environment: the variables that the stage was started with.
    """
    if not environment.get(DVC_ROOT):
        return None
    workspace = Path(environment[DVC_ROOT]).resolve()
    return workspace if folder.resolve().is_relative_to((workspace / ".dvc").resolve()) else None


def lend(workspace: Path, copy: Path, names: Iterable[str]) -> list[str]:
    """Gives the copy folders of the workspace, as folders of links; returns the names of those that it got.

    A folder that the workspace lacks, or that the copy has, is left alone.

    Args:
        workspace: where the folders are.
        copy: where they are wanted.
        names: paths below the root of the project; none of them may be an output of a stage, which DVC would remove.
    """
    lent = [name for name in names if (workspace / name).is_dir() and not (copy / name).exists()]
    for name in lent:
        _link_files(workspace / name, copy / name)
    return lent


def _link_files(source: Path, target: Path) -> None:
    """Makes a folder with a link to every file of another.

    One link to the whole folder would not do: DVC does not look behind a link to a folder within a dependency.
    """
    for folder, inside, files in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in [*files, *(name for name in inside if Path(folder, name).is_symlink())]:
            (place / name).symlink_to(Path(folder, name).absolute())
