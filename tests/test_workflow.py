"""The workflow as users run it: reruns and results."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from free_ports import free_port
from workflow import FROM_MODEL, FROM_OPEN, FROM_RECIPE, FROM_TRAIN, ROOT, STAGES, Project, model_file

pytestmark = pytest.mark.workflow


def test_a_second_run_does_nothing(clean):
    assert clean.repro() == set()
    assert clean.run("git", "status", "--porcelain").stdout == ""


def test_no_output_folder_is_empty(clean):
    """DVC would warn of each empty folder, once for every stage that reads it."""
    outs = [out["path"] for stage in yaml.safe_load(clean.read("dvc.lock"))["stages"].values() for out in stage["outs"]]
    assert not [out for out in outs if (clean.folder / out).is_dir() and not list((clean.folder / out).iterdir())]
    for name in ("encoder", "subword", "pretrained"):
        assert clean.read(f"data/{name}/EMPTY.txt").startswith(b"no ")


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        ("gem.procedures=false", {"check", "gem"}),  # what it makes is the same here, so nothing follows
        pytest.param(
            "evaluation.threshold_grid=50",
            {"check", "baseline", *FROM_OPEN},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            f"{model_file('caml')}:recipes.quick.learning_rate=0.01", {"check", *FROM_RECIPE}, marks=pytest.mark.slow
        ),
        pytest.param(f"{model_file('cnn')}:options.filters=9", {"check"}, marks=pytest.mark.slow),
    ],
)
def test_an_experiment_reruns_exactly_the_affected_stages(clean, change, ran):
    """This is the command of users; tests/test_reruns.py covers all types of edits."""
    assert clean.experiment(change) == ran


def test_editing_code_reruns_the_stages_that_run_it(clean):
    clean.write("stages/train.py", clean.text("stages/train.py") + "\n# A remark.\n")
    assert clean.repro() == {"check"}
    page = "src/medcode/report/page.py"
    clean.write(page, clean.text(page).replace("this page holds no text", "this page has no text"))
    assert clean.repro() == {"check", "report"}


# Stages of seconds, whose outputs without a cache are no metrics to DVC, or that always look, or leave what persists.
QUICK = {"check", "corpus_stats", "report", "publish"}


@pytest.mark.slow
def test_earlier_settings_come_from_the_cache(clean):
    """Nothing is computed twice, and files tracked by git are restored."""
    assert clean.experiment("tokenize.rule=edin", "seed=3") >= {"tokenize", *FROM_TRAIN}
    before = clean.read("metrics/test.json")
    assert clean.experiment("tokenize.rule=caml", "seed=1337") <= QUICK
    assert clean.run("git", "status", "--porcelain").stdout == ""
    assert clean.experiment("tokenize.rule=edin", "seed=3") <= QUICK
    assert clean.read("metrics/test.json") == before
    assert not (clean.folder / "metrics/test.json").is_symlink()


def test_another_model_is_trained_and_compared_with_the_committed_one(clean):
    assert clean.experiment("model=cnn") == {"check", *FROM_MODEL}
    difference = json.loads(clean.run("dvc", "metrics", "diff", "--json").stdout)
    assert set(difference) >= {"metrics/test.json", "metrics/train.json"}
    assert {"icd.tuned.f1.micro", "icd.auc.macro", "icd.ranking.map"} <= set(difference["metrics/test.json"])
    plotted = clean.run("dvc", "plots", "diff", "--json").stdout
    assert {"loss", "dev", "frequency, micro", "frequency, macro"} <= set(json.loads(plotted)["data"])
    clean.run("dvc", "plots", "diff", "--out", "plotted")
    page = clean.read("plotted/index.html").decode()
    assert "workspace" in page and "HEAD" in page


@pytest.mark.slow
def test_two_fresh_copies_give_the_same_bytes(clean, tmp_path):
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
    """No six consecutive words of any note are in files tracked by git."""
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
def test_training_on_two_processes_or_machines_gives_the_same_metrics(clean):
    before = json.loads(clean.read("metrics/train.json"))
    assert clean.experiment("training.processes=2") >= {"train"}
    after = json.loads(clean.read("metrics/train.json"))
    assert after["dev"]["dev_loss"] == pytest.approx(before["dev"]["dev_loss"], rel=1e-3)
    assert after["train_loss"] == pytest.approx(before["train_loss"], rel=1e-3)
    two_on_one = clean.read("metrics/train.json")

    # Two machines, which are this one twice. The second may come first, and waits.
    clean.set({"training": {"nodes": 2, "processes": 1}})
    shutil.rmtree(clean.folder / "checkpoints")  # or the training would have ended
    meeting = {"PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": str(free_port())}
    with ThreadPoolExecutor() as second:
        joined = second.submit(clean.run, "python", "-m", "medcode", "join", "1", **meeting)
        assert "train" in clean.repro("train", **meeting)
        joined.result()
    assert clean.read("metrics/train.json") == two_on_one


def test_committed_results_match_code_and_parameters(tmp_path):
    """No dependency in dvc.lock has changed since it was written. This needs no data, as in a fresh clone."""
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


def test_committed_results_are_of_todays_stages():
    """DVC keeps what it wrote for stages that have gone."""
    command = [str(Path(sys.executable).parent / "dvc"), "stage", "list", "--name-only"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"].keys() == set(listed.stdout.split())
