"""A search over settings in a project: what is trained, what is not trained twice, and the experiment at its end."""

from __future__ import annotations

import csv

import pytest
import yaml
from workflow import RAN, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RATE = "models.*.recipes.*.learning_rate"
SWEEP = {
    "title": "Rates of CAML",
    "corpus": "synthetic-mimic3",
    "label_set": "top50",
    "seeds": [1],
    "settings": {"model": "caml", "recipe": "quick"},
    "search": {RATE: [0.00001, 0.01]},
    "epochs": [1, 2],
    "monitor": "map",
}


def test_a_search_leaves_a_table_and_the_best_as_an_experiment(tmp_path):
    project = Project(tmp_path / "medcode")
    folder = project.folder / "studies/rates"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    project.commit()
    sweep = ("python", "-m", "medcode", "sweep", "rates", "--jobs", "2")
    done = project.run(*sweep)
    trained = [stage for stage in RAN.findall(done.stdout) if "top50@trial" in stage]
    assert [stage.rpartition("@")[2] for stage in sorted(trained)] == ["trial001_1-1", "trial002_1-1", "trial002_2-1"]
    with (folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["rung"], rows[0]["epochs"], rows[0]["trial"]) == ("2", "2", "2")
    assert float(rows[1]["map"]) > float(rows[2]["map"]), "the better rate goes on"
    assert project.run("git", "status", "--porcelain", "params.yaml", "configs").stdout == "", "they stay as they were"
    assert project.run("dvc", "exp", "list", "--name-only").stdout.split()[-1] == "rates"
    project.run("dvc", "exp", "branch", "rates", "best")
    recipe = yaml.safe_load(project.run("git", "show", "best:configs/models/caml.yaml").stdout)["recipes"]["quick"]
    assert (recipe["learning_rate"], recipe["epochs"]) == (0.01, 2)

    again = project.run(*sweep, "--no-experiment")
    assert not [stage for stage in RAN.findall(again.stdout) if "top50@trial" in stage]
    assert "dvc exp run -S corpus=synthetic-mimic3 -S label_set=top50 -S seed=1" in again.stdout
