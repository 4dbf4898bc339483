"""The command of stage train is killed, and started again after its end."""

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
    """Runs stages/train.py without DVC on the inputs of a project, with outputs in a separate folder."""

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
        """Run to the end; return the lines of the output."""
        running = self.start()
        output, _ = running.communicate(timeout=300)
        assert running.returncode == 0
        return output.splitlines()

    def results(self) -> dict[str, bytes]:
        """Return the files that are outputs for DVC, by name, without checkpoints and log."""
        folders = [self.folder / name for name in ("models", "metrics", "plots")]
        paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def forget(self) -> None:
        """Remove the results, as DVC does before it runs a stage."""
        for name in ("models", "metrics", "plots"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def checkpoint_files(self, name: str) -> list[tuple[int, int]]:
        """Return inode and time of a checkpoint file, which change when it is replaced; empty without the file."""
        files = []
        for path in self.checkpoints.glob(f"*/{name}"):
            with contextlib.suppress(FileNotFoundError):
                files.append((path.stat().st_ino, path.stat().st_mtime_ns))
        return files

    def kill(self, name: str, changes: int = 1) -> bool:
        """Start, and kill after a checkpoint file has changed so often; return whether it had not ended before."""
        running, last = self.start(), self.checkpoint_files(name)
        while running.poll() is None and changes:
            time.sleep(0.001)
            if (now := self.checkpoint_files(name)) != last:
                changes, last = changes - 1, now
        running.send_signal(signal.SIGKILL)
        running.communicate()
        return running.returncode == -signal.SIGKILL


@pytest.fixture
def training(clean, tmp_path):
    """A training of about 80 steps that writes a checkpoint after every step."""
    quick = {"epochs": 2, "batch_size": 4}
    clean.set({"training": {"checkpoint_steps": 1}})
    clean.set({"recipes": {"quick": quick}}, model_file("caml"))
    return Training(clean, tmp_path)


def assert_only_final_state_is_kept(training: Training, trainings: int = 1) -> None:
    """Assert that each training has its mark, state and best weights, and no leftovers of a killed process."""
    assert len(list(training.checkpoints.glob("*/"))) == trainings
    for folder in training.checkpoints.glob("*/"):
        best, *other_files = sorted(path.name for path in folder.iterdir())
        assert best.startswith("best-") and other_files == ["finished.txt", "lock", "state.pt"]
    hidden = [path for path in training.folder.rglob(".*") if path.suffix in (".tmp", ".old")]
    assert not hidden


def test_a_training_killed_at_checkpoints_ends_in_the_same_model(training):
    training.run()
    expected = training.results()
    assert len(expected) > 5
    training.forget()
    shutil.rmtree(training.checkpoints)
    killed = [training.kill("state.pt", 1 + number % 3) for number in range(KILLS)]
    assert any(killed), "it was never killed"
    assert not training.checkpoint_files("finished.txt"), "it was never killed in mid-training"
    training.kill("finished.txt")
    assert training.checkpoint_files("finished.txt")
    training.run()
    assert training.results() == expected
    assert_only_final_state_is_kept(training)


def test_finished_trainings_end_at_once_with_the_same_files(training):
    training.project.set({"seeds": 2, "seed": 5})
    assert not [line for line in training.run() if "trained" in line or "resumed" in line]
    assert_only_final_state_is_kept(training, 2)
    expected, log = training.results(), training.folder / "logs/train.jsonl"
    epochs = log.read_text()
    assert len(epochs.splitlines()) == 4
    training.forget()
    output = training.run()
    assert [line.split(": ")[0] for line in output] == ["seed 5  already trained", "seed 6  already trained"]
    assert training.results() == expected and log.read_text() == epochs
    assert_only_final_state_is_kept(training, 2)
    # Stopped when one seed had ended and the other had not, each goes on where it was.
    ended, left = sorted(training.checkpoints.glob("*/"))
    shutil.rmtree(left)
    (ended / "finished.txt").unlink()
    output = training.run()
    assert ["already trained" in line for line in output] == [True, False, False]  # and the other's two epochs
    assert training.results() == expected
    assert_only_final_state_is_kept(training, 2)


@pytest.mark.slow
def test_a_finished_training_that_dvc_lost_is_not_repeated(clean):
    clean.set({"seed": 2})
    clean.run(*clean.command("train"))  # as where DVC does not get its lock back
    metrics, (checkpoint,) = clean.read("metrics/train.json"), (clean.folder / "checkpoints").glob("*/")
    done = clean.run("dvc", "repro", "train")
    assert "already trained: " in done.stdout and clean.read("metrics/train.json") == metrics
    assert clean.repro("train") == set()
    clean.set({"seed": 3})
    assert clean.repro("train") == {"check", "train"}
    assert not checkpoint.exists(), "the next training has no use for it"
