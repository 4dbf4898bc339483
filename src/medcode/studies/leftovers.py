"""What a study leaves that git does not have yet, and what to do with it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from medcode.studies.definition.study import FILE

# Written by `make study` and by DVC. They cannot be ignored by git, because DVC refuses a pipeline that git ignores.
PIPELINE = ("dvc.yaml", "dvc.lock", ".gitignore")


def remark(root: Path, name: str) -> str | None:
    """List the new and changed files of a study; None if there are none, or without git.

    Args:
        root: the folder of all studies.
        name: of the study.
    """
    folder = root / name
    results, pipelines, is_changed = [], [], False
    for status, path in _uncommitted(root, [name, "data"]):
        if path == folder / FILE and status != "??":
            is_changed = True
        elif path.name in PIPELINE:
            pipelines.append(path)
        else:
            results.append(path)
    lines = []
    if results:
        lines += ["results that git does not have yet:", *(f"  {path}" for path in results)]
        lines.append(f"  keep them: git add {shlex.join(map(str, results))} && git commit")
    if is_changed:
        lines.append(f"{folder / FILE} has changed (SEEDS and CORPUS are written into it):")
        lines.append(f"  commit it with the results that it gave, or restore it: git restore {folder / FILE}")
    if pipelines:
        lines.append("not for git; make study writes them again, and its next run needs them to know what is done:")
        lines += [f"  {path}" for path in pipelines]
    return "\n".join(lines) or None


def _uncommitted(root: Path, names: list[str]) -> list[tuple[str, Path]]:
    """Return status and path of the new and changed files in some folders."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "-z", "--no-renames", "--", *names]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        prefix = subprocess.run(
            ["git", "rev-parse", "--show-prefix"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return []
    entries = (line for line in done.stdout.split("\0") if line)
    return [(entry[:2], root / Path(entry[3:]).relative_to(prefix)) for entry in entries]
