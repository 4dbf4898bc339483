"""The command `join`: which machines may join, and what they run."""

from __future__ import annotations

import os
import shlex
import sys

import pytest
import yaml

from medcode.engine import torchrun


@pytest.fixture
def nodes(root, tmp_path, monkeypatch):
    """Write params.yaml with a number of machines, and the stages, into the working folder."""

    def write(number: int) -> None:
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["training"]["nodes"] = number
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        (tmp_path / "dvc.yaml").write_bytes((root / "dvc.yaml").read_bytes())

    monkeypatch.chdir(tmp_path)
    return write


@pytest.mark.parametrize(
    ("number", "machine", "line"),
    [
        (1, 1, "join: params.yaml has 1 machine (training.nodes), of which the first, number 0, runs dvc repro; none"),
        (3, 0, "expected a number from 1 to 2, found 0"),
        (3, 3, "expected a number from 1 to 2, found 3"),
    ],
)
def test_a_machine_that_params_do_not_name_cannot_join(command, nodes, number, machine, line):
    nodes(number)
    code, out, error = command("join", machine)
    assert (code, out) == (2, "") and line in error and error.count("\n") == 1


def test_a_machine_runs_the_stage_train_under_its_number(command, nodes, root, monkeypatch):
    nodes(3)
    run = []
    monkeypatch.setattr(os, "execve", lambda *arguments: run.append(arguments))
    command("join", 2)
    ((program, words, environment),) = run
    stage = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["train"]["cmd"]
    assert program == words[0] == sys.executable and ["python", *words[1:]] == shlex.split(stage)
    assert environment[torchrun.RANK] == "2" and environment["PATH"] == os.environ["PATH"]
