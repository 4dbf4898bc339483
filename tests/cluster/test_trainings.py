"""A study on a cluster: a killed worker's training goes on elsewhere, and the results are those without Ray."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from processes import live_processes
from ray_workers import workers
from workflow import Project

from medcode import io

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EPOCHS, ROWS = 8, ("narrow", "wide", "wider")
STUDY = {
    "title": "A study on a cluster",
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
RUNS = "studies/far/runs/synthetic-mimic3/top50"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("far") / "medcode")
    path = project.folder / "studies/far/study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return project


def start(project: Project, *options: str) -> subprocess.Popen:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {"PATH": path, "PYTHONPATH": str(project.folder / "src"), "DVC_NO_ANALYTICS": "true"}
    return subprocess.Popen(
        [sys.executable, "-m", "medcode", "study", "far", "--run", *options],
        cwd=project.folder, env=os.environ | variables, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def epochs(project: Project) -> dict[str, int]:
    logs = project.folder.glob(f"{RUNS}/*/1/epochs.jsonl")
    return {log.parts[-3]: len(log.read_text().splitlines()) for log in logs}


def test_a_lost_training_goes_on_and_the_results_are_the_same(cluster, project):
    study = start(project, "--ray", cluster)
    end, begun = time.monotonic() + 240, []
    while not begun:
        assert study.poll() is None and time.monotonic() < end, study.communicate()[0]
        begun = [row for row, number in epochs(project).items() if 2 <= number < EPOCHS - 1]
        time.sleep(0.05)
    (worker,) = workers(f"@{begun[0]}-1")
    worker.kill()
    output, _ = study.communicate(timeout=240)
    assert study.returncode == 0, output
    assert "resumed at epoch" in output and "3 of 3: " in output
    assert epochs(project) == dict.fromkeys(ROWS, EPOCHS)
    far = {row: io.read_json(project.folder / RUNS / row / "1/test.json") for row in ROWS}
    lock = yaml.safe_load(project.read("studies/far/dvc.lock"))["stages"]
    assert {f"top50@{row}-1" for row in ROWS} <= lock.keys()

    again = start(project)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0 and "Running stage" not in output, "what a cluster trained is done without one too"

    lock_file, kept = project.folder / "studies/far/dvc.lock", project.folder / "far"
    (project.folder / RUNS).rename(kept)
    lock_file.unlink()
    project.run("rm", "-rf", ".dvc/cache/runs")
    here = start(project, "--jobs", "2")
    output, _ = here.communicate(timeout=240)
    assert here.returncode == 0 and "Running stage" in output, output
    assert {row: io.read_json(project.folder / RUNS / row / "1/test.json") for row in ROWS} == far


def test_ctrl_c_ends_all_and_saves_checkpoints(cluster, project):
    definition = yaml.safe_load(project.read("studies/far/study.yaml"))
    definition["settings"]["models.*.recipes.*.epochs"] = 60
    (project.folder / "studies/far/study.yaml").write_text(yaml.safe_dump(definition, sort_keys=False))
    study = start(project, "--ray", cluster)
    end = time.monotonic() + 240
    while not any(number >= 1 for number in epochs(project).values()) or len(workers("dvc.yaml")) < 2:
        assert study.poll() is None and time.monotonic() < end, study.communicate()[0]
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(study.pid, 2)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert not [process for process in live_processes(project.folder) if "stages/train.py" in process.cmdline()]
    assert list(project.folder.glob("checkpoints/**/state.pt"))
