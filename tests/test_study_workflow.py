"""A study is stopped and resumed, changed in one row, broken in one row, and run in parallel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from audit import Audit
from sklearn.metrics import f1_score
from workflow import RAN, Project, model_file

from medcode import dvc_runner
from medcode.evaluation import decisions, probability_files
from medcode.studies.definition.study import PROBABILITIES

pytestmark = pytest.mark.workflow

STUDY = "studies/tiny/dvc.yaml"
TINY = {
    "title": "A tiny study",
    "paper": "mt-ram",
    "tables": ["table3"],
    "corpus": "synthetic-mimic3",
    "seeds": [1],
    "settings": {"recipe": "quick", "models.*.recipes.*.epochs": 2},
    "rows": {
        "caml": {"title": "CAML", "published": "table3/CAML", "settings": {"model": "caml"}},
        "wide": {"title": "CAML, wider", "settings": {"model": "caml", "models.*.options.filters": 12}},
    },
    "comparisons": [["caml", "wide"]],
    "ensembles": {"both": {"title": "Both", "rows": ["caml", "wide"]}},
    "evidence": True,
}
ALL = {"top50@caml-1", "top50@wide-1"}
EVIDENCE = {f"evidence-{training}" for training in ALL}
RESULTS = (
    "dvc.lock",
    "dvc.yaml",
    "ensembles",
    "evidence.csv",
    "figures",
    "report.html",
    "results.json",
    "study.yaml",
    "table.csv",
    "table.md",
)


class StudyProject(Project):
    """A copy of the project with a tiny study."""

    def define(self, **changes) -> None:
        """Write study.yaml and the pipeline."""
        path = self.folder / "studies/tiny/study.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(TINY | changes, sort_keys=False))
        self.run("python", "-m", "medcode", "study", "tiny")

    def repro_study(self, check: bool = True, **environment: str) -> tuple[set[str], str]:
        """Run the study; return the stages of the study that ran, and the output."""
        done = self.run("dvc", "repro", "--keep-going", STUDY, check=check, **environment)
        stages = {name.split(":")[1] for name in RAN.findall(done.stdout) if name.startswith(f"{STUDY}:")}
        return stages, done.stdout + done.stderr

    def recorded(self) -> set[str]:
        """Return the trainings that DVC has recorded."""
        path = self.folder / "studies/tiny/dvc.lock"
        return set((yaml.safe_load(path.read_text()) or {}).get("stages", {})) & ALL if path.exists() else set()

    def done(self) -> set[str]:
        """Return the trainings that have results."""
        folder = self.folder / "studies/tiny/runs/synthetic-mimic3"
        return {f"{p.parts[-4]}@{p.parts[-3]}-{p.parts[-2]}" for p in folder.glob("*/*/*/environment.json")}


@pytest.fixture(scope="module")
def project(audited_project, tmp_path_factory):
    """A study that was killed after one training and then resumed, with the records of the audit."""
    folder = tmp_path_factory.mktemp("study")
    project = StudyProject.at(audited_project.copy(folder / "medcode").folder)
    project.define()
    project.audit = Audit(folder / "audit", project.folder)
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **project.audit.variables}
    variables |= {"DVC_NO_ANALYTICS": "true"}
    running = subprocess.Popen(
        ["dvc", "repro", STUDY], cwd=project.folder, env=os.environ | variables, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while running.poll() is None and not project.recorded():
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    dvc_runner._remove_damaged_lock(project.folder / dvc_runner.RWLOCK)  # as `make study` does after a kill
    before = project.recorded()
    project.ran, _ = project.repro_study(**project.audit.variables)
    assert before and project.ran == (ALL - before) | EVIDENCE | {"ensemble-both", "report"}, (
        "a stopped study goes on where it was"
    )
    project.commit()
    return project


@pytest.fixture
def clean(project):
    """The same project, reset to its last commit."""
    project.define()
    project.reset()
    return project


def test_a_second_run_does_nothing(clean):
    assert clean.repro_study()[0] == set()
    assert clean.done() == ALL
    assert clean.run("git", "status", "--porcelain").stdout == ""


def test_only_tables_figures_and_pages_are_tracked_by_git(clean):
    tracked = clean.run("git", "ls-files", "studies/tiny").stdout.split()
    assert {name.removeprefix("studies/tiny/").split("/")[0] for name in tracked} == set(RESULTS)
    inputs = "data/studies/synthetic-mimic3/inputs/top50"
    ids = {name for split in ("dev", "test") for name in clean.read(f"{inputs}/{split}/documents.txt").decode().split()}
    words = set(clean.read("studies/tiny/results.json").decode().split()) | set(
        clean.read("studies/tiny/table.md").decode().split()
    )
    assert ids and not ids & words
    results = json.loads(clean.read("studies/tiny/results.json"))
    assert results["finished"] and {row["row"] for row in results["rows"]} == {"caml", "wide"}


def test_only_a_changed_row_runs(clean):
    rows = TINY["rows"] | {
        "wide": TINY["rows"]["wide"] | {"settings": {"model": "caml", "models.*.options.filters": 13}}
    }
    clean.define(rows=rows)
    assert clean.repro_study()[0] == {"settings", "top50@wide-1", "evidence-top50@wide-1", "ensemble-both", "report"}


def test_models_are_kept_only_where_their_evidence_is_measured(clean):
    folder = clean.folder / "models/studies/tiny"
    assert {path.name for path in folder.iterdir()} == {f"synthetic-mimic3-top50-{row}-1" for row in ("caml", "wide")}
    clean.define(evidence=False)
    assert clean.repro_study()[0] >= ALL, "their trainings have other commands"
    assert not folder.exists() or not list(folder.iterdir())


def test_other_settings_of_evidence_train_nothing(clean):
    rows = TINY["rows"] | {
        "wide": TINY["rows"]["wide"]
        | {"settings": {"model": "caml", "models.*.options.filters": 12, "explain.documents": 5}}
    }
    clean.define(rows=rows)
    assert clean.repro_study()[0] == {"settings", "evidence-top50@wide-1", "report"}
    assert "| CAML, wider | random |" in clean.read("studies/tiny/table.md").decode()


def test_an_ensemble_is_measured_by_the_mean_probabilities_of_its_rows(clean):
    folder = clean.folder / "studies/tiny"
    files = [folder / f"runs/synthetic-mimic3/top50/{row}/1" / PROBABILITIES for row in ("caml", "wide")]
    scores = np.mean([probability_files.read(file)["test"]["icd"] for file in files], axis=0)
    gold = decisions.read(files[0].parent / "predictions.npz")["icd"].gold.toarray()
    measured = json.loads(clean.read("studies/tiny/ensembles/both.json"))["icd"]
    assert measured["fixed"]["f1"]["micro"] == pytest.approx(f1_score(gold, scores > 0.5, average="micro"), abs=1e-6)
    assert "| Both | **ours**, synthetic-mimic3 |" in clean.read("studies/tiny/table.md").decode()


def test_another_title_trains_nothing(clean):
    rows = TINY["rows"] | {"wide": TINY["rows"]["wide"] | {"title": "Another title"}}
    clean.define(rows=rows)
    assert clean.repro_study()[0] == {"settings", "report"}
    assert "Another title" in clean.read("studies/tiny/table.md").decode()


def test_editing_unused_code_trains_nothing(clean):
    """The digests are computed again and do not change."""
    clean.set({"options": {"filters": 9}}, model_file("cnn"))
    clean.write("src/medcode/models/cnn.py", clean.text("src/medcode/models/cnn.py").replace("-torch.inf", "-1e9"))
    clean.write("src/medcode/models/caml.py", clean.text("src/medcode/models/caml.py") + "\n# A remark.\n")
    assert clean.repro_study()[0] == {"settings"}


@pytest.mark.slow
def test_a_failed_row_does_not_stop_others_and_reruns_after_a_fix(clean):
    broken = {"model": "caml", "models.*.options.filters": 14, "models.*.recipes.*.learning_rate": 1e30}
    third = {"title": "A third", "settings": {"model": "caml", "models.*.options.filters": 5}}
    rows = {"broken": {"title": "Broken", "settings": broken}, **TINY["rows"], "third": third}
    clean.define(rows=rows)
    ran, output = clean.repro_study(check=False)
    assert "top50@third-1" in ran and "report" not in ran
    assert "error: training: the loss is nan" in output and "Traceback" not in output
    listed = clean.run("python", "-m", "medcode", "study").stdout
    assert "3/4" in listed
    rows["broken"]["settings"] = broken | {"models.*.recipes.*.learning_rate": 0.01}
    clean.define(rows=rows)
    assert clean.repro_study()[0] == {"settings", "top50@broken-1", "evidence-top50@broken-1", "report"}


def test_a_wrong_row_is_refused_before_anything_trains(clean):
    rows = TINY["rows"] | {"wide": {"title": "x", "settings": {"model": "caml", "models.*.options.filtres": 3}}}
    clean.define(rows=rows)
    ran, output = clean.repro_study(check=False)
    assert "options.filtres: unknown key; did you mean 'filters'?" in output and "Traceback" not in output
    assert not ran & ALL


@pytest.mark.slow
def test_only_added_seeds_run_and_in_parallel(clean):
    clean.run("python", "-m", "medcode", "study", "tiny", "--seeds", "2")
    runs = clean.run("python", "-m", "medcode", "study", "tiny", "--targets", "runs").stdout.split()
    assert {run.split(":")[1] for run in runs} == ALL | {"top50@caml-2", "top50@wide-2"}
    done = clean.run("python", "-m", "medcode", "study", "tiny", "--run", "--jobs", "2")
    ran = {name.split(":")[1] for name in RAN.findall(done.stdout) if name.startswith(f"{STUDY}:")}
    assert ran - {"settings"} == {
        "top50@caml-2", "top50@wide-2", "evidence-top50@caml-2", "evidence-top50@wide-2", "ensemble-both", "report",
    }  # fmt: skip
    assert clean.repro_study()[0] == set()


@pytest.mark.slow
def test_restored_rows_come_from_the_cache(clean):
    ensembles = {"both": {"title": "Both", "rows": ["caml"]}}
    clean.define(rows={"caml": TINY["rows"]["caml"]}, comparisons=[], ensembles=ensembles)
    assert clean.repro_study()[0] == {"settings", "ensemble-both", "report"}
    assert "CAML, wider" not in clean.text("studies/tiny/table.md")
    clean.define()
    assert not clean.repro_study()[0] & ALL
    assert "CAML, wider" in clean.text("studies/tiny/table.md")


def test_a_training_reads_and_calls_only_its_dependencies(clean):
    """These are its inputs, its settings, and the code with digests next to the settings."""
    records = list(clean.audit.records())
    runs = [
        one for one in records if "studies/tiny/runs" in " ".join(one["command"]) and "train.py" in one["command"][0]
    ]
    runs += [one for one in records if "--predictions" in one["command"]]
    assert len(runs) >= 4
    for one in runs:
        command = " ".join(one["command"])
        settings = next(part for part in one["command"] if part.endswith(".yaml"))
        resting = json.loads(clean.read(settings.replace(".yaml", ".json")))
        allowed = ("data/studies/", "studies/tiny/runs/", "models/studies/", "checkpoints/")
        allowed = (*allowed, settings, settings.replace(".yaml", ".train.json"))
        strays = [path for path in one["opened"] if not path.startswith(allowed) and not path.endswith(".py")]
        assert not strays, f"{command} opens {strays}"
        code = resting["code"]
        missing = {(path, function) for path, function in one["called"] if function not in code.get(path, {})}
        assert not missing, f"{command} calls {sorted(missing)}"


def test_the_other_stages_read_only_their_deps(clean):
    stages = yaml.safe_load(clean.read("studies/tiny/dvc.lock"))["stages"]
    for name in ("settings", "ensemble-both", "report"):
        script = f"study_{name.removesuffix('-both')}.py"
        allowed = {entry["path"] for section in ("deps", "outs") for entry in stages[name].get(section, [])} | {
            "params.yaml"
        }
        (one,) = (one for one in clean.audit.records() if one["command"][0].endswith(script))
        for path in one["opened"]:
            under = any(path == entry or path.startswith(f"{entry}/") for entry in allowed)
            assert under or ".tmp" in path or path.startswith(("src/", "stages/")), f"{name} opens {path}"
