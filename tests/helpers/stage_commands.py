"""Stages as they are run from the command line, without an interpreter for each of them.

`here` runs one in this process. `in_another_process` runs several in one other interpreter, whose hashes of strings are
others: what depends on the order of a set comes out differently there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

STAGES = Path(__file__).resolve().parents[2] / "stages"


@dataclass(frozen=True)
class Done:
    """How a stage ended."""

    returncode: int
    stderr: str


def options(**values: object) -> list[str]:
    """The options of a stage: `hash_seed="1"` becomes `--hash-seed 1`."""
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@contextlib.contextmanager
def _as_a_command(stage: str, arguments: list[str], folder: Path) -> Iterator[None]:
    """What Python sets for a script, and puts back what a stage sets for the libraries that it loads."""
    before, given, path = dict(os.environ), sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [str(STAGES / f"{stage}.py"), *arguments], [str(STAGES)]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.argv, sys.path[:] = given, path
        os.environ.clear()
        os.environ.update(before)


def here(stage: str, arguments: list[str], folder: Path) -> Done:
    """Runs a stage in this process, in a folder."""
    code, said = 0, io.StringIO()
    with contextlib.redirect_stderr(said), _as_a_command(stage, arguments, folder):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
    return Done(code, said.getvalue())


def in_another_process(
    commands: Mapping[str, tuple[str, list[str]]], folder: Path, **environment: str
) -> dict[str, Done]:
    """Runs stages one after another in another interpreter: {name: (stage, options)} to {name: how it ended}."""
    given = json.dumps({"folder": str(folder), "commands": commands})
    command, environment = [sys.executable, __file__], os.environ | environment
    done = subprocess.run(command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {name: Done(**own) for name, own in json.loads(done.stdout).items()}


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    print(json.dumps({name: asdict(here(*command, wanted["folder"])) for name, command in wanted["commands"].items()}))
