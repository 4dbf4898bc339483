"""A cross-validation: each fold is a run of the main workflow, and test is never read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from audit import Audit
from workflow import RAN

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FILE = "studies/crossval/dvc.yaml"
FOLDS = {"fold@0", "fold@1"}


def crossval(project, *options: str, **environment: str) -> set[str]:
    """Cross-validate with two folds, and return the stages that ran; those of the main workflow begin with `/`."""
    done = project.run("python", "-m", "medcode", "crossval", "--folds", "2", *options, **environment)
    return {name.removeprefix(f"{FILE}:") if name.startswith(FILE) else f"/{name}" for name in RAN.findall(done.stdout)}


@pytest.fixture(scope="module")
def project(audited_project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossval")
    project = audited_project.copy(folder / "medcode")
    project.audit = Audit(folder / "audit", project.folder)
    assert crossval(project, "--jobs", "2", **project.audit.variables) == FOLDS | {"metrics"}
    return project


def test_only_results_of_the_cross_validation_are_new(project):
    changed = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()
    files = ("metrics/crossval.json", "studies/crossval/dvc.lock", "studies/crossval/dvc.yaml")
    assert sorted(changed) == [f"?? {file}" for file in files]
    assert not list((project.folder / "data/crossval").iterdir()), "data and models of the folds are removed"
    assert crossval(project) == set()


def test_a_fold_reads_only_its_dependencies_and_never_test(project):
    allowed = ("data/code/", "data/crossval/", "data/extracted/", "data/reference/", "data/splits-published/none/")
    allowed += ("data/tokens/", "studies/crossval/runs/", "checkpoints/", "configs/models/caml.yaml", "params.yaml")
    records = list(project.audit.records())
    commands = yaml.safe_load(project.read(FILE))["stages"]["fold"]["cmd"]
    assert len(records) == 2 * len(commands) + 1
    measured = set()
    for record in records:
        stage, opened = Path(record["command"][0]).stem, record["opened"]
        strays = [path for path in opened if not path.startswith((*allowed, "src/", "stages/"))]
        if stage == "crossval_metrics":
            strays = [path for path in strays if not path.startswith("metrics/")]
        if stage != "study_finish":  # it removes folders, whose entries are noted without their parents
            assert strays == [], stage
        if stage in ("train", "evaluate"):
            measured.add(stage)
            read = [path for path in opened if "/data/inputs/" in path]
            assert any("/data/inputs/dev/" in path for path in read)
            assert not any("/data/inputs/test/" in path for path in read)
            code = json.loads(project.read(f"data/code/{stage}.json"))["code"]
            assert all(function in code.get(path, {}) for path, function in record["called"])
    assert measured == {"train", "evaluate"}


def test_a_fold_is_the_run_of_the_main_workflow_with_its_part_as_dev(project):
    summary = json.loads(project.read("metrics/crossval.json"))
    assert summary["folds"] == 2 and summary["by_fold"].keys() == {"0", "1"}
    settings = {"train_on": "train_dev", "folds": 2, "fold": 1}
    copy = project.copy(project.folder.parent / "main")
    before = copy.read("data/splits/splits.parquet")
    copy.set({"split": settings})
    copy.repro("evaluate")
    assert copy.read("data/splits/splits.parquet") != before
    for main, of_fold in (("metrics/train.json", "train.json"), ("metrics/splits/full.json", "splits/full.json")):
        assert copy.read(main) == project.read(f"studies/crossval/runs/1/{of_fold}")
    trained = json.loads(copy.read("metrics/train.json"))
    assert summary["by_fold"]["1"]["best_epoch"] == trained["best_epoch"]
    assert summary["by_fold"]["1"]["threshold"] == pytest.approx(trained["thresholds"])
    of_dev = json.loads(project.read("studies/crossval/runs/1/dev.json"))["icd"]
    of_test = json.loads(copy.read("metrics/test.json"))["icd"]
    assert of_dev["ranking"]["map"] == trained["dev"]["map"]
    assert of_dev["counts"]["documents"] != of_test["counts"]["documents"]


def test_a_cross_validation_can_be_an_experiment(project):
    copy = project.copy(project.folder.parent / "experiment")
    copy.commit()
    ran = copy.experiment("seeds=2", targets=(FILE,))
    assert {f"{FILE}:{name}" for name in (*FOLDS, "metrics")} <= ran
    assert "ensemble" in json.loads(copy.read("metrics/crossval.json"))["mean"]
    assert "metrics/crossval.json" in copy.run("dvc", "metrics", "diff").stdout
