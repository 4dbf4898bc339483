"""A study that is stopped while it trains starts nothing else, and a second call resumes it."""

from __future__ import annotations

import json
import os
import signal

import pytest
from long_study import LongStudy
from processes import live_processes
from workflow import RAN

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROWS, EPOCHS = ("caml", "wide"), 60


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """The study, with its data."""
    long = LongStudy(tmp_path_factory.mktemp("long") / "medcode", ROWS, EPOCHS)
    long.project.run("python", "-m", "medcode", "study", "long")
    data = long.project.run("python", "-m", "medcode", "study", "long", "--targets", "data").stdout.split()
    long.project.run("dvc", "repro", *data)
    return long


@pytest.mark.parametrize(("send", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_a_stopped_study_saves_its_trainings_and_starts_none(long, send, number):
    study, first = long.start(), {}
    # Until a training has ended an epoch since its log was there; one that resumes logs earlier ones at once.
    long.wait_until(study, lambda epochs: any(n > first.setdefault(row, n) for row, n in epochs.items()))
    send(study.pid, number)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert len([name for name in RAN.findall(output) if "top50@" in name]) == 1, output
    assert len(long.epochs()) == 1 and max(long.epochs().values()) < EPOCHS
    assert not live_processes(long.folder)
    assert list(long.folder.glob("checkpoints/**/state.pt"))


def test_a_second_call_resumes(long):
    study = long.start("--jobs", "2")
    output, _ = study.communicate(timeout=600)
    assert study.returncode == 0, output
    assert "error" not in output.lower()
    logged = long.epochs()
    assert "resumed at epoch" in output, "it began anew"
    assert logged == dict.fromkeys(ROWS, EPOCHS), "epochs before the interruption count as well"
    results = json.loads(long.project.read("studies/long/results.json"))
    assert results["finished"] and {row["row"] for row in results["rows"]} == set(ROWS)
    again = long.start()
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and not RAN.findall(output)
