"""The workflow as its users run it: what reruns and what does not, and what comes out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from workflow import CCS, FROM_TRAIN, ROOT, STAGES, Project

pytestmark = pytest.mark.workflow


def test_a_second_run_does_nothing(clean):
    assert clean.repro() == set()
    assert clean.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        (["model=cnn"], {"check", *FROM_TRAIN}),
        (["seed=2"], FROM_TRAIN),
        (["models.caml.training.quick.learning_rate=0.01"], FROM_TRAIN),
        (["evaluation.threshold_grid=50"], {"evaluate", "report"}),
        (["label_set=full"], {"check", "describe", "inputs", *FROM_TRAIN}),
        (["label_set=icd9"], {"check", "describe", "inputs", *FROM_TRAIN}),
        (["embed.window=3"], {"embed", "inputs", *FROM_TRAIN}),
        (["ccs.bare_numbers=true"], {*CCS, "inputs", *FROM_TRAIN}),
        (["gem.procedures=false"], {"gem"}),
        (["models.cnn.filters=9"], set()),
        (["encoders.scratch-small.scratch.layers=1"], set()),
        (["corpora.codiesp.language=es"], set()),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_an_experiment_reruns_what_its_change_affects_and_nothing_else(clean, changes, ran):
    assert clean.experiment(*changes) == ran


def test_a_comment_in_params_reruns_nothing(clean):
    path = clean.folder / "params.yaml"
    path.write_text("# a remark\n" + path.read_text())
    assert clean.repro() == set()


def test_editing_another_model_reruns_nothing_and_editing_this_one_retrains(clean):
    (clean.folder / "src/medcode/models/cnn.py").open("a").write("\n# a remark\n")
    assert clean.repro() == set()
    (clean.folder / "src/medcode/models/caml.py").open("a").write("\n# a remark\n")
    assert "train" in clean.repro()


def test_metrics_and_plots_of_an_experiment_are_compared_with_the_committed_ones(clean):
    clean.experiment("model=cnn")
    difference = json.loads(clean.run("dvc", "metrics", "diff", "--json").stdout)
    assert set(difference) >= {"metrics/test.json", "metrics/train.json"}
    assert {"icd.tuned.f1.micro", "icd.auc.macro", "icd.ranking.map"} <= set(difference["metrics/test.json"])
    plotted = clean.run("dvc", "plots", "diff", "--json").stdout
    assert {"loss", "dev", "frequency, micro", "frequency, macro"} <= set(json.loads(plotted)["data"])
    clean.run("dvc", "plots", "diff", "--out", "plotted")
    page = clean.read("plotted/index.html").decode()
    assert "workspace" in page and "HEAD" in page


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
    """No five consecutive words of any note stand in what git tracks."""
    texts = pq.read_table(clean.folder / "data/extracted/notes.parquet")["text"].to_pylist()
    notes = {" ".join(words[i : i + 6]) for text in texts for words in [text.split()] for i in range(len(words) - 5)}
    titles = {row["title"] for row in json.loads(clean.read("data/inputs/heads.json"))["icd"]["labels"]}
    tracked = clean.run("git", "ls-files", "dvc.lock", "metrics", "plots").stdout.split()
    assert tracked
    for name in tracked:
        words = clean.read(name).decode().split()
        for start in range(len(words) - 5):
            run = " ".join(words[start : start + 6])
            assert run not in notes or any(run in title for title in titles), f"{name}: {run}"


def test_training_on_two_processes_measures_the_same(clean):
    before = json.loads(clean.read("metrics/train.json"))
    assert clean.experiment("training.processes=2") >= {"train"}
    after = json.loads(clean.read("metrics/train.json"))
    assert after["dev"]["dev_loss"] == pytest.approx(before["dev"]["dev_loss"], rel=1e-3)
    assert after["train_loss"] == pytest.approx(before["train_loss"], rel=1e-3)


def test_train_killed_at_random_moments_ends_in_the_same_model(clean):
    expected = clean.read("models/current/weights.safetensors")
    clean.set({"training": {"checkpoint_steps": 1}, "models": {"caml": {"training": {"quick": {"epochs": 2}}}}})
    shutil.rmtree(clean.folder / "models")
    command = yaml.safe_load(clean.read("dvc.lock"))["stages"]["train"]["cmd"].split()
    variables = os.environ | {"PYTHONPATH": str(clean.folder / "src")}
    for attempt in range(40):
        running = subprocess.Popen(
            [sys.executable, *command[1:]], cwd=clean.folder, env=variables, stdout=subprocess.DEVNULL
        )
        try:
            running.wait(timeout=1.5 + 0.37 * attempt)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            time.sleep(0.05)
            continue
        break
    assert running.returncode == 0
    assert attempt > 0, "it was never killed"
    assert clean.read("models/current/weights.safetensors") == expected
    assert not list((clean.folder / "checkpoints").iterdir())


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
