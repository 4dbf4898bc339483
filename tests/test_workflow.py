"""The workflow as its users run it: what reruns and what does not, and what comes out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from workflow import FROM_TRAIN, ROOT, STAGES, Project, model_file

pytestmark = pytest.mark.workflow


def test_a_second_run_does_nothing(clean):
    assert clean.repro() == set()
    assert clean.run("git", "status", "--porcelain").stdout == ""


def test_no_output_is_a_folder_without_a_file(clean):
    """DVC would warn of each, once for every stage that reads it."""
    outs = [out["path"] for stage in yaml.safe_load(clean.read("dvc.lock"))["stages"].values() for out in stage["outs"]]
    assert not [out for out in outs if (clean.folder / out).is_dir() and not list((clean.folder / out).iterdir())]
    for name in ("encoder", "subword", "pretrained"):
        assert clean.read(f"data/{name}/EMPTY.txt").startswith(b"no ")


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        ("gem.procedures=false", {"check", "gem"}),  # what it makes is the same here, so nothing follows
        pytest.param("evaluation.threshold_grid=50", {"check", "evaluate", "report"}, marks=pytest.mark.slow),
        pytest.param(
            f"{model_file('caml')}:recipes.quick.learning_rate=0.01", {"check", *FROM_TRAIN}, marks=pytest.mark.slow
        ),
        pytest.param(f"{model_file('cnn')}:options.filters=9", {"check"}, marks=pytest.mark.slow),
    ],
)
def test_an_experiment_reruns_what_its_change_affects_and_nothing_else(clean, change, ran):
    """As users call it; tests/test_reruns.py has every kind of edit."""
    assert clean.experiment(change) == ran


def test_an_edit_of_code_reruns_the_stages_that_run_it(clean):
    clean.write("stages/train.py", clean.text("stages/train.py") + "\n# A remark.\n")
    assert clean.repro() == {"check"}
    page = "src/medcode/report/page.py"
    clean.write(page, clean.text(page).replace("this page holds no text", "this page has no text"))
    assert clean.repro() == {"check", "report"}


# Stages of seconds, whose outputs without a cache are no metrics to DVC, or that always look.
QUICK = {"check", "corpus_stats", "report"}


@pytest.mark.slow
def test_settings_tried_before_are_taken_from_the_cache(clean):
    """Text, metrics, the model: nothing is computed twice, and what git tracks is a file as before."""
    assert clean.experiment("tokenize.rule=edin", "seed=3") >= {"tokenize", *FROM_TRAIN}
    before = clean.read("metrics/test.json")
    assert clean.experiment("tokenize.rule=caml", "seed=1337") <= QUICK
    assert clean.run("git", "status", "--porcelain").stdout == ""
    assert clean.experiment("tokenize.rule=edin", "seed=3") <= QUICK
    assert clean.read("metrics/test.json") == before
    assert not (clean.folder / "metrics/test.json").is_symlink()


def test_another_model_is_trained_and_compared_with_the_committed_one(clean):
    assert clean.experiment("model=cnn") == {"check", *FROM_TRAIN}
    difference = json.loads(clean.run("dvc", "metrics", "diff", "--json").stdout)
    assert set(difference) >= {"metrics/test.json", "metrics/train.json"}
    assert {"icd.tuned.f1.micro", "icd.auc.macro", "icd.ranking.map"} <= set(difference["metrics/test.json"])
    plotted = clean.run("dvc", "plots", "diff", "--json").stdout
    assert {"loss", "dev", "frequency, micro", "frequency, macro"} <= set(json.loads(plotted)["data"])
    clean.run("dvc", "plots", "diff", "--out", "plotted")
    page = clean.read("plotted/index.html").decode()
    assert "workspace" in page and "HEAD" in page


@pytest.mark.slow
def test_two_fresh_copies_come_out_the_same_to_the_byte(clean, tmp_path):
    other = Project(tmp_path / "medcode")
    assert other.repro() == STAGES
    results = [path for folder in ("metrics", "plots") for path in sorted((clean.folder / folder).rglob("*"))]
    names = [str(path.relative_to(clean.folder)) for path in results if path.is_file()]
    assert len(names) > 8
    # In which order DVC writes the stages down is not always the same.
    assert yaml.safe_load(other.read("dvc.lock")) == yaml.safe_load(clean.read("dvc.lock"))
    for name in names:
        assert other.read(name) == clean.read(name), name


def test_results_hold_no_text_of_a_note(clean):
    """No six consecutive words of any note stand in what git tracks."""
    texts = pq.read_table(clean.folder / "data/extracted/notes.parquet")["text"].to_pylist()
    notes = {" ".join(words[i : i + 6]) for text in texts for words in [text.split()] for i in range(len(words) - 5)}
    descriptions = {row["description"] for row in json.loads(clean.read("data/inputs/heads.json"))["icd"]["labels"]}
    tracked = clean.run("git", "ls-files", "dvc.lock", "metrics", "plots").stdout.split()
    assert tracked
    for name in tracked:
        words = clean.read(name).decode().split()
        for start in range(len(words) - 5):
            run = " ".join(words[start : start + 6])
            assert run not in notes or any(run in description for description in descriptions), f"{name}: {run}"


@pytest.mark.slow
def test_training_on_two_processes_measures_the_same(clean):
    before = json.loads(clean.read("metrics/train.json"))
    assert clean.experiment("training.processes=2") >= {"train"}
    after = json.loads(clean.read("metrics/train.json"))
    assert after["dev"]["dev_loss"] == pytest.approx(before["dev"]["dev_loss"], rel=1e-3)
    assert after["train_loss"] == pytest.approx(before["train_loss"], rel=1e-3)


def test_committed_results_belong_to_the_code_and_the_parameters(tmp_path):
    """Nothing that dvc.lock rests on has changed since it was written; shown without data, as in a fresh clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\n")[:-1]:
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = [str(Path(sys.executable).parent / "dvc"), "repro", "--dry", "--allow-missing"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert "Running stage" not in done.stdout, done.stdout
