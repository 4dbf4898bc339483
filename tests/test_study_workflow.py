"""A study as its users run it: stopped and continued, changed in one row, broken in one row, in parallel."""

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
from audit import Audit
from workflow import RAN, Project, model_file

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
}
ALL = {"top50@caml-1", "top50@wide-1"}
RESULTS = ("dvc.lock", "dvc.yaml", "figures", "report.html", "results.json", "study.yaml", "table.csv", "table.md")


class StudyProject(Project):
    """A copy of the project with a tiny study."""

    def define(self, **changes) -> None:
        """Writes study.yaml and the pipeline."""
        path = self.folder / "studies/tiny/study.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(TINY | changes, sort_keys=False))
        self.run("python", "-m", "medcode", "study", "tiny")

    def go(self, check: bool = True, **environment: str) -> tuple[set[str], str]:
        """Runs the study; returns its own stages that ran, and what was said."""
        done = self.run("dvc", "repro", "--keep-going", STUDY, check=check, **environment)
        stages = {name.split(":")[1] for name in RAN.findall(done.stdout) if name.startswith(f"{STUDY}:")}
        return stages, done.stdout + done.stderr

    def recorded(self) -> set[str]:
        """The trainings that DVC has recorded."""
        path = self.folder / "studies/tiny/dvc.lock"
        return set((yaml.safe_load(path.read_text()) or {}).get("stages", {})) & ALL if path.exists() else set()

    def done(self) -> set[str]:
        """The trainings that have results."""
        folder = self.folder / "studies/tiny/runs/synthetic-mimic3"
        return {f"{p.parts[-4]}@{p.parts[-3]}-{p.parts[-2]}" for p in folder.glob("*/*/*/environment.json")}


@pytest.fixture(scope="module")
def project(audited_project, tmp_path_factory):
    """A study that was killed when one training was done, and then continued, with all that was opened and called."""
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
    before = project.recorded()
    project.ran, _ = project.go(**project.audit.variables)
    assert before and project.ran == (ALL - before) | {"report"}, "a stopped study goes on where it was"
    project.commit()
    return project


@pytest.fixture
def clean(project):
    """The same, put back to what was committed."""
    project.define()
    project.reset()
    return project


def test_a_second_run_does_nothing(clean):
    assert clean.go()[0] == set()
    assert clean.done() == ALL
    assert clean.run("git", "status", "--porcelain").stdout == ""


def test_it_leaves_a_table_figures_and_a_page_in_git_and_nothing_else(clean):
    found = clean.run("git", "ls-files", "studies/tiny").stdout.split()
    assert {name.removeprefix("studies/tiny/").split("/")[0] for name in found} == set(RESULTS)
    inputs = "data/studies/synthetic-mimic3/inputs/top50"
    ids = {name for split in ("dev", "test") for name in clean.read(f"{inputs}/{split}/documents.txt").decode().split()}
    words = set(clean.read("studies/tiny/results.json").decode().split()) | set(
        clean.read("studies/tiny/table.md").decode().split()
    )
    assert ids and not ids & words
    results = json.loads(clean.read("studies/tiny/results.json"))
    assert results["finished"] and {row["row"] for row in results["rows"]} == {"caml", "wide"}
    assert not (clean.folder / "models/studies/tiny").exists() or not list(
        (clean.folder / "models/studies/tiny").iterdir()
    ), "models are not kept"


def test_a_changed_row_runs_alone(clean):
    rows = TINY["rows"] | {
        "wide": TINY["rows"]["wide"] | {"settings": {"model": "caml", "models.*.options.filters": 13}}
    }
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "top50@wide-1", "report"}


def test_another_title_trains_nothing(clean):
    rows = TINY["rows"] | {"wide": TINY["rows"]["wide"] | {"title": "Another title"}}
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "report"}
    assert "Another title" in clean.read("studies/tiny/table.md").decode()


def test_what_no_row_uses_trains_nothing(clean):
    """Digests are written anew, and are the same."""
    clean.set({"options": {"filters": 9}}, model_file("cnn"))
    clean.write("src/medcode/models/cnn.py", clean.text("src/medcode/models/cnn.py").replace("-torch.inf", "-1e9"))
    clean.write("src/medcode/models/caml.py", clean.text("src/medcode/models/caml.py") + "\n# A remark.\n")
    assert clean.go()[0] == {"settings"}


@pytest.mark.slow
def test_a_row_that_breaks_lets_the_others_go_on_and_runs_alone_once_it_is_mended(clean):
    broken = {"model": "caml", "models.*.options.filters": 14, "models.*.recipes.*.learning_rate": 1e30}
    third = {"title": "A third", "settings": {"model": "caml", "models.*.options.filters": 5}}
    rows = {"broken": {"title": "Broken", "settings": broken}, **TINY["rows"], "third": third}
    clean.define(rows=rows)
    ran, said = clean.go(check=False)
    assert "top50@third-1" in ran and "report" not in ran
    assert "error: training: the loss is nan" in said and "Traceback" not in said
    listed = clean.run("python", "-m", "medcode", "study").stdout
    assert "3/4" in listed
    rows["broken"]["settings"] = broken | {"models.*.recipes.*.learning_rate": 0.01}
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "top50@broken-1", "report"}


def test_a_wrong_row_is_refused_before_anything_trains(clean):
    rows = TINY["rows"] | {"wide": {"title": "x", "settings": {"model": "caml", "models.*.options.filtres": 3}}}
    clean.define(rows=rows)
    ran, said = clean.go(check=False)
    assert "options.filtres: unknown key; did you mean 'filters'?" in said and "Traceback" not in said
    assert not ran & ALL


@pytest.mark.slow
def test_more_seeds_run_alone_and_side_by_side(clean):
    clean.run("python", "-m", "medcode", "study", "tiny", "--seeds", "2")
    runs = clean.run("python", "-m", "medcode", "study", "tiny", "--targets", "runs").stdout.split()
    assert {run.split(":")[1] for run in runs} == ALL | {"top50@caml-2", "top50@wide-2"}
    done = clean.run("python", "-m", "medcode", "study", "tiny", "--run", "--jobs", "2")
    ran = {name.split(":")[1] for name in RAN.findall(done.stdout) if name.startswith(f"{STUDY}:")}
    assert ran - {"settings"} == {"top50@caml-2", "top50@wide-2", "report"}
    assert clean.go()[0] == set()


@pytest.mark.slow
def test_going_back_to_what_ran_before_takes_it_from_the_cache(clean):
    clean.define(rows={"caml": TINY["rows"]["caml"]}, comparisons=[])
    assert clean.go()[0] == {"settings", "report"}
    assert "CAML, wider" not in clean.text("studies/tiny/table.md")
    clean.define()
    assert not clean.go()[0] & ALL
    assert "CAML, wider" in clean.text("studies/tiny/table.md")


def test_a_training_reads_and_calls_only_what_it_rests_on(clean):
    """Its inputs, its settings and the code whose digests are written down beside them."""
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


def test_the_report_reads_only_its_deps(clean):
    stages = yaml.safe_load(clean.read("studies/tiny/dvc.lock"))["stages"]
    for name in ("settings", "report"):
        allowed = {entry["path"] for kind in ("deps", "outs") for entry in stages[name].get(kind, [])} | {"params.yaml"}
        (one,) = (one for one in clean.audit.records() if one["command"][0].endswith(f"study_{name}.py"))
        for path in one["opened"]:
            under = any(path == entry or path.startswith(f"{entry}/") for entry in allowed)
            assert under or ".tmp" in path or path.startswith(("src/", "stages/")), f"{name} opens {path}"
