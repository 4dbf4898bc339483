"""The command of stage train, killed, and started again after it had ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workflow import model_file

pytestmark = pytest.mark.workflow

KILLS = 4


class Training:
    """Runs stages/train.py without DVC, on the inputs of a project; what it writes lies in a folder of its own."""

    def __init__(self, project, folder: Path) -> None:
        self.project, self.folder, self.checkpoints = project, folder, folder / "checkpoints"
        command = project.command("train")[1:]
        moved = ("checkpoints", "logs/", "models/", "metrics/", "plots/")
        self.command = [str(folder / part) if part.startswith(moved) else part for part in command]

    def start(self) -> subprocess.Popen:
        variables = {"PYTHONPATH": str(self.project.folder / "src")}
        return subprocess.Popen(
            [sys.executable, *self.command],
            cwd=self.project.folder,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> list[str]:
        """Runs to the end; returns the lines that it said."""
        running = self.start()
        said, _ = running.communicate(timeout=300)
        assert running.returncode == 0
        return said.splitlines()

    def results(self) -> dict[str, bytes]:
        """All files that DVC would take, by name; of the checkpoints and the log there are none."""
        folders = [self.folder / name for name in ("models", "metrics", "plots")]
        paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def forget(self) -> None:
        """Removes the results, as DVC does before it runs a stage."""
        for name in ("models", "metrics", "plots"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def kept(self, name: str) -> list[tuple[int, int]]:
        """Inode and time of a file of the checkpoint, which tell it from the one that replaces it; empty without it."""
        found = []
        for path in self.checkpoints.glob(f"*/{name}"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_ino, path.stat().st_mtime_ns))
        return found

    def kill(self, name: str, changes: int = 1) -> bool:
        """Starts, and kills when a file of the checkpoint has changed so often; whether it had not ended before."""
        running, last = self.start(), self.kept(name)
        while running.poll() is None and changes:
            time.sleep(0.001)
            if (now := self.kept(name)) != last:
                changes, last = changes - 1, now
        running.send_signal(signal.SIGKILL)
        running.communicate()
        return running.returncode == -signal.SIGKILL


@pytest.fixture
def training(clean, tmp_path):
    """Trains, so that a checkpoint is written after every one of its 80 steps, more or less."""
    quick = {"epochs": 2, "batch_size": 4}
    clean.set({"training": {"checkpoint_steps": 1}})
    clean.set({"recipes": {"quick": quick}}, model_file("caml"))
    return Training(clean, tmp_path)


def assert_only_the_end_is_kept(training: Training, trainings: int = 1) -> None:
    """Of each training a mark, its progress and the best weights, and nothing that a killed process left."""
    assert len(list(training.checkpoints.glob("*/"))) == trainings
    for folder in training.checkpoints.glob("*/"):
        best, *rest = sorted(path.name for path in folder.iterdir())
        assert best.startswith("best-") and rest == ["finished.txt", "lock", "state.pt"]
    hidden = [path for path in training.folder.rglob(".*") if path.suffix in (".tmp", ".old")]
    assert not hidden


def test_train_killed_at_changes_of_its_checkpoint_ends_in_the_same_model(training):
    training.run()
    expected = training.results()
    assert len(expected) > 5
    training.forget()
    shutil.rmtree(training.checkpoints)
    killed = [training.kill("state.pt", 1 + number % 3) for number in range(KILLS)]
    assert any(killed), "it was never killed"
    assert not training.kept("finished.txt"), "it was never killed in mid-training"
    training.kill("finished.txt")
    assert training.kept("finished.txt")
    training.run()
    assert training.results() == expected
    assert_only_the_end_is_kept(training)


def test_trainings_that_had_ended_end_at_once_in_the_same_files(training):
    training.project.set({"seeds": 2, "seed": 5})
    assert not [line for line in training.run() if "trained" in line or "resumed" in line]
    assert_only_the_end_is_kept(training, 2)
    expected, log = training.results(), training.folder / "logs/train.jsonl"
    epochs = log.read_text()
    assert len(epochs.splitlines()) == 4
    training.forget()
    said = training.run()
    assert [line.split(": ")[0] for line in said] == ["seed 5  already trained", "seed 6  already trained"]
    assert training.results() == expected and log.read_text() == epochs
    assert_only_the_end_is_kept(training, 2)
    # Stopped when one seed had ended and the other had not, each goes on where it was.
    ended, left = sorted(training.checkpoints.glob("*/"))
    shutil.rmtree(left)
    (ended / "finished.txt").unlink()
    said = training.run()
    assert ["already trained" in line for line in said] == [True, False, False]  # and the other's two epochs
    assert training.results() == expected
    assert_only_the_end_is_kept(training, 2)


@pytest.mark.slow
def test_what_dvc_could_not_record_is_not_trained_again(clean):
    clean.set({"seed": 2})
    clean.run(*clean.command("train"))  # as where DVC does not get its lock back
    metrics, (checkpoint,) = clean.read("metrics/train.json"), (clean.folder / "checkpoints").glob("*/")
    done = clean.run("dvc", "repro", "train")
    assert "already trained: " in done.stdout and clean.read("metrics/train.json") == metrics
    assert clean.repro("train") == set()
    clean.set({"seed": 3})
    assert clean.repro("train") == {"check", "train"}
    assert not checkpoint.exists(), "the next training has no use for it"
