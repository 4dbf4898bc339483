"""A study on a cluster: a killed worker's training goes on elsewhere, and the results are those without Ray."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from long_study import RUNS, LongStudy
from processes import live_processes
from ray_workers import workers

from medcode import io

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EPOCHS, ROWS = 8, ("narrow", "wide", "wider")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return LongStudy(tmp_path_factory.mktemp("far") / "medcode", ROWS, EPOCHS)


def results(long: LongStudy) -> dict[str, dict]:
    return {row: io.read_json(long.folder / RUNS / row / "1/test.json") for row in ROWS}


def checkpoints(long: LongStudy) -> list[Path]:
    return list(long.folder.glob("checkpoints/**/state.pt"))


def test_a_lost_training_goes_on_and_the_results_are_the_same(cluster, long):
    def begun(epochs: dict[str, int]) -> list[str]:
        return [row for row, number in epochs.items() if 2 <= number < EPOCHS - 1]

    study = long.start("--ray", cluster.address)
    (worker,) = workers(f"@{begun(long.wait_until(study, begun))[0]}-1")
    worker.kill()
    output, _ = study.communicate(timeout=240)
    assert study.returncode == 0, output
    assert "resumed at epoch" in output and "3 of 3: " in output
    assert long.epochs() == dict.fromkeys(ROWS, EPOCHS)
    far = results(long)
    lock = yaml.safe_load(long.project.read("studies/long/dvc.lock"))["stages"]
    assert {f"top50@{row}-1" for row in ROWS} <= lock.keys()

    again = long.start()
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and "Running stage" not in output, "what a cluster trained is done without one too"

    for made in (RUNS, ".dvc/cache/runs"):
        shutil.rmtree(long.folder / made)
    (long.folder / "studies/long/dvc.lock").unlink()
    here = long.start("--jobs", "2")
    output, _ = here.communicate(timeout=240)
    assert here.returncode == 0 and "Running stage" in output, output
    assert results(long) == far


def test_ctrl_c_ends_all_and_saves_checkpoints(cluster, long):
    long.define(epochs=60)
    shutil.rmtree(long.folder / "checkpoints", ignore_errors=True)  # those of finished trainings
    study = long.start("--ray", cluster.address)
    long.wait_until(study, lambda epochs: sum(number >= 1 for number in epochs.values()) == 2)
    os.killpg(study.pid, signal.SIGINT)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert not [process for process in live_processes(long.folder) if "stages/train.py" in process.cmdline()]
    assert len(checkpoints(long)) == 2
