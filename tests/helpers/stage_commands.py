"""Run stages as from the command line, without starting an interpreter for each.

`in_this_process` runs one stage in this process. `in_another_process` runs several in one other interpreter with
another hash seed, so results that depend on the order of a set differ there.
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
    """Exit code and error output of a stage."""

    returncode: int
    stderr: str


def options(**values: object) -> list[str]:
    """Return the options of a stage: `hash_seed="1"` becomes `--hash-seed 1`."""
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@contextlib.contextmanager
def _as_a_command(stage: str, arguments: list[str], folder: Path) -> Iterator[None]:
    """Set what Python sets for a script, and restore it and the environment variables that a stage sets."""
    environment, argv, path = dict(os.environ), sys.argv, list(sys.path)
    script = STAGES / f"{stage}.py"
    sys.argv, sys.path[:0] = [str(script), *arguments], [str(script.parent)]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.argv, sys.path[:] = argv, path
        os.environ.clear()
        os.environ.update(environment)


def in_this_process(stage: str, arguments: list[str], folder: Path) -> Done:
    """Run a stage in this process, in a folder."""
    code, stderr = 0, io.StringIO()
    with contextlib.redirect_stderr(stderr), _as_a_command(stage, arguments, folder):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
    return Done(code, stderr.getvalue())


def in_another_process(
    commands: Mapping[str, tuple[str, list[str]]], folder: Path, **environment: str
) -> dict[str, Done]:
    """Run stages one after another in another interpreter: {name: (stage, options)} to {name: result}."""
    request = json.dumps({"folder": str(folder), "commands": commands})
    command, environment = [sys.executable, __file__], os.environ | environment
    process = subprocess.run(command, input=request, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {name: Done(**result) for name, result in json.loads(process.stdout).items()}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    results = {name: in_this_process(*command, request["folder"]) for name, command in request["commands"].items()}
    print(json.dumps({name: asdict(result) for name, result in results.items()}))
