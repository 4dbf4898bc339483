"""Predictions on a cluster: the bytes of one process, whatever workers are killed; no word of a note in the logs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import note_models
import pytest
from ray_workers import workers

from medcode.bulk import progress

pytestmark = pytest.mark.slow

WORD = "unknown7xq"  # of a note, in no vocabulary


@pytest.fixture(scope="module")
def model(recipe, tmp_path_factory) -> Path:
    return note_models.saved(tmp_path_factory.mktemp("cluster") / "model", recipe)


@pytest.fixture
def notes(tmp_path) -> Path:
    path = tmp_path / "notes.jsonl"
    with path.open("w") as file:
        for number in range(2400):
            text = "12" if number % 7 == 3 else f"{note_models.note(number)} {WORD}"
            file.write(json.dumps({"name": f"n{number}", "text": text}) + "\n")
    return path


def command(notes: Path, model: Path, output: Path, *options: str) -> list[str]:
    arguments = ["predict", str(notes), "--model", str(model), "--id-column", "name", "--output", str(output)]
    return [sys.executable, "-m", "medcode", *arguments, "--part", "300", "--save-every", "4", *options]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kill_one(output: Path, process: subprocess.Popen) -> None:
    """Kill a worker in the middle of a part."""
    end = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < end:
        begun = list(output.glob(f"*.part/{progress.JOURNAL}")) if output.exists() else []
        if begun and (found := workers("PartPredictor")):
            found[0].kill()
            return
        time.sleep(0.02)
    raise AssertionError(f"no worker was seen at work: {process.communicate()}")


def test_killed_workers_change_no_byte(cluster, notes, model, tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    done = subprocess.run(command(notes, model, one), capture_output=True, text=True)
    assert done.returncode == 3, done.stderr  # some notes have no words
    process = subprocess.Popen(
        command(notes, model, many, "--ray", cluster.address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(2):
        kill_one(many, process)
        time.sleep(1)
    out, err = process.communicate(timeout=170)
    assert process.returncode == 3 and out == f"{many}: 2,057 notes\n", err
    assert "Ray: 2 machines, 2 CPUs" in err and f"could not be read; {many}/part-*.rejects.csv says why" in err
    assert files(one) == files(many)
    assert WORD not in out + err
    logs = [path for path in Path(cluster.head_node.get_logs_dir_path()).rglob("*") if path.is_file()]
    assert logs and not [path for path in logs if WORD.encode() in path.read_bytes()]


def test_a_mistake_in_a_worker_is_one_line(cluster, notes, model, tmp_path):
    output = tmp_path / "codes"
    assert subprocess.run(command(notes, model, output), capture_output=True).returncode == 3
    (output / "part-00001.json").unlink()
    (output / "part-00001.parquet").unlink()
    (output / "part-00001.parquet").mkdir()  # cannot be written
    state = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps(state | {"counts": None}))
    done = subprocess.run(command(notes, model, output, "--ray", cluster.address), capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "part-00001.parquet: could not be written (Is a directory)" in done.stderr
