"""A study that is stopped while it trains starts nothing else, and a second call resumes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from processes import live_processes
from workflow import RAN, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROWS, EPOCHS = ("caml", "wide"), 60
LONG = {
    "title": "A study of trainings that last",
    "paper": "mt-ram",
    "tables": ["table3"],
    "corpus": "synthetic-mimic3",
    "seeds": [1],
    "settings": {"recipe": "quick", "models.*.recipes.*.epochs": EPOCHS, "models.*.recipes.*.patience": None},
    "rows": {
        name: {"title": name, "settings": {"model": "caml", "models.*.options.filters": 6 + place}}
        for place, name in enumerate(ROWS)
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the study and its data."""
    project = Project(tmp_path_factory.mktemp("long") / "medcode")
    path = project.folder / "studies/long/study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(LONG, sort_keys=False))
    project.run("python", "-m", "medcode", "study", "long")
    data = project.run("python", "-m", "medcode", "study", "long", "--targets", "data").stdout.split()
    project.run("dvc", "repro", *data)
    return project


def start(project: Project, *options: str) -> subprocess.Popen:
    """Start the study as from a terminal, in a new process group; remove the logs of the last start."""
    for log in logs(project):
        log.unlink()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {"PATH": path, "PYTHONPATH": str(project.folder / "src"), "DVC_NO_ANALYTICS": "true"}
    return subprocess.Popen(
        [sys.executable, "-m", "medcode", "study", "long", "--run", *options],
        cwd=project.folder, env=os.environ | variables, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def logs(project: Project) -> list[Path]:
    return list(project.folder.glob("studies/long/runs/synthetic-mimic3/top50/*/1/epochs.jsonl"))


def epochs(project: Project) -> dict[str, int]:
    """Return the number of epochs in the log, for each row that has started to train."""
    return {log.parts[-3]: len(log.read_text().splitlines()) for log in logs(project)}


def wait_until_training(project: Project, study: subprocess.Popen) -> None:
    """Wait until a training has ended an epoch since its log was there; one that resumes logs earlier ones at once."""
    end, first = time.monotonic() + 300, {}
    while not any(number > first.setdefault(row, number) for row, number in epochs(project).items()):
        assert study.poll() is None and time.monotonic() < end, study.communicate()[0]
        time.sleep(0.1)


@pytest.mark.parametrize(("send", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_a_stopped_study_saves_its_trainings_and_starts_none(project, send, number):
    study = start(project)
    wait_until_training(project, study)
    send(study.pid, number)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert len([name for name in RAN.findall(output) if "top50@" in name]) == 1, output
    assert len(epochs(project)) == 1 and max(epochs(project).values()) < EPOCHS
    assert not live_processes(project.folder)
    assert list(project.folder.glob("checkpoints/**/state.pt"))


def test_a_second_call_resumes(project):
    study = start(project, "--jobs", "2")
    output, _ = study.communicate(timeout=600)
    assert study.returncode == 0, output
    assert "error" not in output.lower()
    logged = epochs(project)
    assert "resumed at epoch" in output, "it began anew"
    assert logged == dict.fromkeys(ROWS, EPOCHS), "epochs before the interruption count as well"
    results = json.loads(project.read("studies/long/results.json"))
    assert results["finished"] and {row["row"] for row in results["rows"]} == set(ROWS)
    again = start(project)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and not RAN.findall(output)
