"""A study as its users run it: stopped and continued, changed in one row, broken in one row, in parallel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml
from test_dag import AUDIT
from workflow import RAN, Project

pytestmark = pytest.mark.workflow

STUDY = "studies/tiny/dvc.yaml"
TINY = {
    "title": "A tiny study",
    "paper": "mt-ram",
    "tables": ["table3"],
    "corpus": "synthetic-mimic3",
    "seeds": [1, 2],
    "settings": {"recipe": "quick", "models.*.training.*.epochs": 2},
    "rows": {
        "caml": {"title": "CAML", "published": "table3/CAML", "settings": {"model": "caml"}},
        "wide": {"title": "CAML, wider", "settings": {"model": "caml", "models.*.filters": 12}},
    },
    "comparisons": [["caml", "wide"]],
}
ALL = {f"top50@{row}-{seed}" for row in ("caml", "wide") for seed in (1, 2)}
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
        own = {name.split(":")[1] for name in RAN.findall(done.stdout) if name.startswith(f"{STUDY}:")}
        return own, done.stdout + done.stderr

    def done(self) -> set[str]:
        """The trainings that have results."""
        folder = self.folder / "studies/tiny/runs/synthetic-mimic3"
        return {f"{p.parts[-4]}@{p.parts[-3]}-{p.parts[-2]}" for p in folder.glob("*/*/*/environment.json")}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A study that was killed when one training was done, and then continued, with all that was opened."""
    folder = tmp_path_factory.mktemp("study")
    project = StudyProject(folder / "medcode")
    project.define()
    (folder / "hook").mkdir()
    (folder / "hook/sitecustomize.py").write_text(textwrap.dedent(AUDIT))
    (folder / "audit").mkdir()
    path = f"{folder / 'hook'}:{project.folder / 'src'}"
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": path}
    variables |= {"AUDIT": str(folder / "audit"), "PYTHONDONTWRITEBYTECODE": "1", "DVC_NO_ANALYTICS": "true"}
    running = subprocess.Popen(
        ["dvc", "repro", STUDY], cwd=project.folder, env=os.environ | variables, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    locked = project.folder / "studies/tiny/dvc.lock"
    while running.poll() is None and "top50@" not in (locked.read_text() if locked.exists() else ""):
        time.sleep(0.2)
    time.sleep(2)  # by now the next one trains
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = set(yaml.safe_load(locked.read_text())["stages"]) & ALL
    project.ran, _ = project.go(AUDIT=str(folder / "audit"), PYTHONPATH=path)
    assert before and project.ran == (ALL - before) | {"report"}, "a stopped study goes on where it was"
    project.audit = folder / "audit"
    project.commit()
    return project


@pytest.fixture
def clean(project):
    """The same, put back to what was committed."""
    project.define()
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout", "--force", "--allow-missing")
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
    rows = TINY["rows"] | {"wide": TINY["rows"]["wide"] | {"settings": {"model": "caml", "models.*.filters": 13}}}
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "top50@wide-1", "top50@wide-2", "report"}


def test_another_title_trains_nothing(clean):
    rows = TINY["rows"] | {"wide": TINY["rows"]["wide"] | {"title": "Another title"}}
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "report"}
    assert "Another title" in clean.read("studies/tiny/table.md").decode()


def test_another_models_block_or_file_trains_nothing(clean):
    clean.set({"models": {"cnn": {"filters": 9}}})
    (clean.folder / "src/medcode/models/cnn.py").open("a").write("\n# a remark\n")
    assert clean.go()[0] == {"settings"}


def test_a_row_that_breaks_lets_the_others_go_on_and_runs_alone_once_it_is_mended(clean):
    broken = {"model": "caml", "models.*.filters": 14, "models.*.training.*.learning_rate": 1e30}
    third = {"title": "A third", "settings": {"model": "caml", "models.*.filters": 5}}
    rows = {"broken": {"title": "Broken", "settings": broken}, **TINY["rows"], "third": third}
    clean.define(rows=rows)
    ran, said = clean.go(check=False)
    assert {"top50@third-1", "top50@third-2"} <= ran and "report" not in ran
    assert "error: training: the loss is nan" in said and "Traceback" not in said
    listed = clean.run("python", "-m", "medcode", "study").stdout
    assert "6/8" in listed
    rows["broken"]["settings"] = broken | {"models.*.training.*.learning_rate": 0.01}
    clean.define(rows=rows)
    assert clean.go()[0] == {"settings", "top50@broken-1", "top50@broken-2", "report"}


def test_a_wrong_row_is_refused_before_anything_trains(clean):
    rows = TINY["rows"] | {"wide": {"title": "x", "settings": {"model": "caml", "models.*.filtres": 3}}}
    clean.define(rows=rows)
    ran, said = clean.go(check=False)
    assert "models.caml.filtres: unknown key; did you mean 'filters'?" in said and "Traceback" not in said
    assert not ran & ALL


def test_more_seeds_run_alone_and_side_by_side(clean):
    clean.run("python", "-m", "medcode", "study", "tiny", "--seeds", "3")
    data = clean.run("python", "-m", "medcode", "study", "tiny", "--targets", "data").stdout.split()
    clean.run("dvc", "repro", *data)
    runs = clean.run("python", "-m", "medcode", "study", "tiny", "--targets", "runs").stdout.split()
    assert {run.split(":")[1] for run in runs} == ALL | {"top50@caml-3", "top50@wide-3"}
    command = "xargs -n 1 -P 3 dvc --wait-for-lock repro --single-item"
    done = clean.run("sh", "-c", f"printf '%s\\n' {' '.join(runs)} | {command}")
    assert {name.split(":")[1] for name in RAN.findall(done.stdout)} == {"top50@caml-3", "top50@wide-3"}
    assert clean.go()[0] == {"report"}


def test_going_back_to_what_ran_before_takes_it_from_the_cache(clean):
    clean.define(seeds=[1])
    assert not clean.go()[0] & ALL
    clean.define()
    assert not clean.go()[0] & ALL
    assert "seeds 1, 2" in clean.read("studies/tiny/table.md").decode()


def test_a_training_reads_only_what_it_rests_on(project):
    """Its inputs, its settings and the code whose digests are written down beside them."""
    opened = [json.loads(path.read_text()) for path in project.audit.glob("*.json")]
    runs = [
        one for one in opened if "studies/tiny/runs" in " ".join(one["command"]) and "train.py" in one["command"][0]
    ]
    runs += [one for one in opened if "--predictions" in one["command"]]
    assert len(runs) >= 6
    for one in runs:
        command = " ".join(one["command"])
        settings = next(part for part in one["command"] if part.endswith(".yaml"))
        resting = json.loads(project.read(settings.replace(".yaml", ".json")))
        own = ("data/studies/", "studies/tiny/runs/", "models/studies/", "checkpoints/", settings)
        known = {*resting["code"], "src/medcode/__init__.py"}
        for path, _ in one["opened"]:
            if Path(path).is_relative_to(project.folder):
                name = str(Path(path).relative_to(project.folder))
                assert name in known or name.startswith(own), f"{command} opens {name}"


def test_the_report_reads_only_its_deps(project):
    stages = yaml.safe_load(project.read("studies/tiny/dvc.lock"))["stages"]
    opened = [json.loads(path.read_text()) for path in project.audit.glob("*.json")]
    for name in ("settings", "report"):
        allowed = {entry["path"] for kind in ("deps", "outs") for entry in stages[name][kind]} | {"params.yaml"}
        (one,) = (one for one in opened if one["command"][0].endswith(f"study_{name}.py"))
        for path, _ in one["opened"]:
            if Path(path).is_relative_to(project.folder):
                inside = str(Path(path).relative_to(project.folder))
                under = any(inside == entry or inside.startswith(f"{entry}/") for entry in allowed)
                assert under or ".tmp" in inside or inside == "src/medcode/__init__.py", f"{name} opens {inside}"
