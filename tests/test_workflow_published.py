"""While a model is trained, measured and published, whoever asks for a model gets one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from workflow import FROM_TRAIN, RAN, Project, model_file

import medcode
from medcode.inference import saved_model

pytestmark = pytest.mark.workflow

NOTE = "The patient was admitted with fever, chest pain and shortness of breath."


def codes(folder: Path) -> list[tuple[str, float]]:
    """Return what the model in a folder predicts."""
    (prediction,) = medcode.load(folder).predict([NOTE], top=3)
    return [(code["code"], code["probability"]) for code in prediction.codes]


class Reading(threading.Thread):
    """Loads models/current and predicts with it, again and again."""

    def __init__(self, project: Project) -> None:
        super().__init__(daemon=True)
        self.folder, self.seen, self.errors = project.folder / "models/current", [], []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            try:
                found = codes(self.folder)
            except Exception as error:
                self.errors.append(error)
            else:
                if found not in self.seen:
                    self.seen.append(found)


@contextlib.contextmanager
def reading(project: Project) -> Iterator[Reading]:
    """Read the model as long as the block runs; no read may have failed."""
    thread = Reading(project)
    thread.start()
    try:
        yield thread
    finally:
        thread.ended.set()
        thread.join(60)
    assert not thread.errors


def killed_in_training(project: Project) -> None:
    """Start `dvc repro`, and kill it with all its processes once the training has written a checkpoint."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(project.folder / "src"),
    }
    running = subprocess.Popen(
        ["dvc", "repro"], cwd=project.folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while running.poll() is None and not list(project.folder.glob("checkpoints/*/state.pt")):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, "it ended before"


@pytest.mark.parametrize(("link", "seed"), [("copy", 2), pytest.param("symlink", 5, marks=pytest.mark.slow)])
def test_there_is_a_model_at_every_moment(clean, link, seed):
    clean.run("dvc", "config", "cache.type", link)
    clean.run("dvc", "checkout", "--relink")
    old = codes(clean.folder / "models/current")
    clean.set({"seed": seed, "training": {"checkpoint_steps": 1}})
    clean.set({"recipes": {"quick": {"epochs": 2, "batch_size": 4}}}, model_file("caml"))
    with reading(clean) as thread:
        killed_in_training(clean)
    assert thread.seen == [old] and not (clean.folder / "models/trained").exists()
    with reading(clean) as thread:
        done = clean.run("dvc", "repro")
    assert set(RAN.findall(done.stdout)) == FROM_TRAIN and "resumed" in done.stdout
    new = codes(clean.folder / "models/trained")
    assert new != old and codes(clean.folder / "models/current") == new
    assert thread.seen in ([old], [old, new])
    assert (clean.folder / "models/trained/labels.json").is_symlink() == (link == "symlink")
    assert not (clean.folder / "models/current/labels.json").is_symlink()


def test_a_model_that_cannot_be_measured_is_not_published(clean):
    old = codes(clean.folder / "models/current")
    clean.set({"seed": 3})
    script = clean.text("stages/evaluate.py")
    clean.write("stages/evaluate.py", script.replace("import stage\n", "import stage\n\nraise SystemExit(1)\n", 1))
    done = clean.run("dvc", "repro", "publish", check=False)
    assert done.returncode != 0 and "failed to reproduce 'evaluate'" in done.stderr
    assert codes(clean.folder / "models/trained") != old
    assert codes(clean.folder / "models/current") == old


def test_dvc_leaves_the_model_alone_and_a_run_publishes_that_of_a_commit(clean):
    trained, current = clean.folder / "models/trained", clean.folder / "models/current"
    old = saved_model.digests(current)
    assert "publish" in clean.experiment("seed=4")
    names = clean.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    committed = [clean.run("git", "ls-tree", "-r", "--name-only", name).stdout.split() for name in names]
    assert any("dvc.lock" in paths for paths in committed)
    assert not [path for paths in committed for path in paths if path.startswith("models/")]
    new = saved_model.digests(current)
    assert new != old
    clean.run("git", "reset", "--quiet", "--hard")
    clean.run("dvc", "checkout")
    assert (saved_model.digests(trained), saved_model.digests(current)) == (old, new)
    assert clean.repro() == {"publish"}
    assert saved_model.digests(current) == old and clean.run("git", "status", "--porcelain").stdout == ""
    # With a dvc.lock from elsewhere DVC would remove what its cache does not have, were it in the cache.
    clean.write("dvc.lock", re.sub(r"(?<=md5: )\w{32}(?=\.dir)", "0" * 32, clean.text("dvc.lock")))
    clean.run("dvc", "checkout", "--force", "--allow-missing")
    assert not trained.exists() and saved_model.digests(current) == old
