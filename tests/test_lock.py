"""`make repro` waits for a second DVC command that holds the lock when a stage ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from workflow import ROOT

pytestmark = pytest.mark.workflow

# A stage that leaves a process behind, which holds DVC's lock for longer than the three seconds that DVC waits.
STAGE = """
    import pathlib, subprocess, sys

    if sys.argv[1:] == ["hold"]:
        import time

        from dvc.repo import Repo

        with Repo(".").lock:
            print("held", flush=True)
            time.sleep(8)
    else:
        holder = subprocess.Popen([sys.executable, __file__, "hold"], stdout=subprocess.PIPE)
        holder.stdout.readline()
        pathlib.Path("out.txt").write_text("done")
"""


@pytest.fixture
def run(tmp_path):
    """Run a command in a project with this single stage."""
    (tmp_path / "stage.py").write_text(textwrap.dedent(STAGE))
    (tmp_path / "dvc.yaml").write_text("stages:\n  last:\n    cmd: python stage.py\n    outs: [out.txt]\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def command(*words: str) -> subprocess.CompletedProcess:
        variables = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "true"}
        return subprocess.run(
            words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False
        )

    command("git", "init", "--quiet")
    command("dvc", "init", "--quiet")
    return command


def test_make_repro_waits_for_a_lock_at_the_end_of_a_stage(run, tmp_path):
    recipe = re.search(r"^repro:.*\n\t(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    done = run(*recipe.split())
    assert done.returncode == 0, done.stderr
    assert "out.txt" in (tmp_path / "dvc.lock").read_text()


@pytest.mark.slow
def test_without_waiting_the_run_fails(run, tmp_path):
    """If this fails, DVC waits by itself, and the option is no longer needed."""
    done = run("dvc", "repro")
    assert done.returncode != 0 and "Unable to acquire lock" in done.stderr
    assert not (tmp_path / "dvc.lock").exists()
