"""models/current is replaced as a whole, and whoever reads it meanwhile gets one model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import note_models
import pytest

import medcode
from medcode import io
from medcode.errors import UserError
from medcode.inference import calibration, kept, saved_model
from medcode.inference.calibration import Calibration, HeadCalibration, Temperature
from medcode.inference.published import Parts, publish

TEXT = note_models.note(3)


@pytest.fixture(params=["in one step", "by two renames"])
def exchange(request, monkeypatch) -> None:
    """The two ways to replace a folder."""
    if request.param == "by two renames":
        monkeypatch.setattr(io, "_exchange", lambda *_: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges two folders in one step")


@pytest.fixture
def two(recipe, tmp_path) -> tuple[Parts, Parts]:
    """Two models of the same size, that differ in weights, and in what nothing but the folder ties to them."""
    old = note_models.parts(tmp_path / "old", recipe)
    new = note_models.parts(tmp_path / "new", recipe, 1)
    labels = new.model / "labels.json"
    labels.write_text(labels.read_text().replace("Description of", "Explanation of"))
    return old, new


def seen(folder: Path) -> list[tuple[str, float]]:
    """Return what a note's prediction says of weights and labels."""
    return [(code["description"], code["probability"]) for code in medcode.load(folder).predict([TEXT], top=2)[0].codes]


def calibrated(parts: Parts, temperature: float = 3.0) -> Parts:
    heads = {"icd": HeadCalibration(map=Temperature(temperature=temperature, bias=0.0))}
    calibration.write(parts.calibration, Calibration([heads], heads), saved_model.digests(parts.model))
    return parts


def test_a_published_model_has_all_parts_inside(two, tmp_path):
    publish(calibrated(two[0]), tmp_path / "current")
    before = seen(tmp_path / "old/trained")
    for field in fields(Parts):
        path = getattr(two[0], field.name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert seen(tmp_path / "current") == before
    Parts.of(tmp_path / "current").check()


def test_a_part_beside_it_is_not_that_of_a_published_model(two, tmp_path):
    """While another model is trained, the calibration of that one lies there."""
    publish(two[0], tmp_path / "new/current")
    before = seen(tmp_path / "new/current")
    calibrated(two[1])
    assert seen(tmp_path / "new/current") == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


MISTAKES: dict[str, tuple[Callable[[Parts], object], str]] = {
    "weights": (lambda parts: cut(parts.model / "weights.safetensors"), "trained/weights.safetensors: damaged"),
    "no model": (lambda parts: shutil.rmtree(parts.model), "trained: holds no trained model"),
    "a scorer": (lambda parts: io.write_json(parts.open / "open.json", {"models": ["x"]}), "open: made for another"),
    "a calibration": (
        lambda parts: calibrated(replace(parts, model=parts.model.parents[1] / "old/trained")),
        "calibration: made for another model",
    ),
    "measures": (
        lambda parts: io.write_json(parts.train, io.read_json(parts.train) | {"recipe": "published"}),
        "train.json: of another model (caml, top50, mimic3, published) than",
    ),
    "no measures": (lambda parts: parts.test.unlink(), "test.json: no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_an_incomplete_model_is_refused_and_the_old_one_stays(two, tmp_path, name):
    old, new = two
    publish(old, tmp_path / "current")
    before = seen(tmp_path / "current")
    edit, message = MISTAKES[name]
    edit(new)
    with pytest.raises(UserError) as error:
        publish(new, tmp_path / "current")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert seen(tmp_path / "current") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "new", "old"]


def test_a_full_disk_is_one_line_and_the_old_model_stays(two, tmp_path, monkeypatch):
    old, new = two
    publish(old, tmp_path / "current")
    before = seen(tmp_path / "current")
    monkeypatch.setattr(io.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        publish(new, tmp_path / "current")
    monkeypatch.undo()
    assert seen(tmp_path / "current") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "new", "old"]


def test_every_read_beside_a_writer_is_of_one_model(two, tmp_path, exchange):
    folder = tmp_path / "current"
    publish(two[0], folder)
    expected = [seen(parts.model) for parts in two]
    found: list = []
    stopped = threading.Event()

    def write() -> None:
        """Publish beside the next read as soon as one has ended, so that a slow machine makes no fewer of both."""
        for parts in two[::-1] * 12:
            before = len(found)
            publish(parts, folder)
            while len(found) == before and not stopped.wait(0.001):
                pass

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            while not writer.done():
                found.append(seen(folder))
        finally:
            stopped.set()
        writer.result()
    assert len(found) > 20 and all(one in found for one in expected), "it was never read beside the writer"
    assert all(one in expected for one in found)


def test_what_was_read_from_two_models_is_read_again(two, tmp_path, exchange):
    folder, calls = tmp_path / "current", []
    publish(two[0], folder)

    def reader(found: Path) -> list[str]:
        first = (found / "model.json").read_text()
        calls.append(found)
        if len(calls) == 1:
            publish(two[1], folder)
        return [first, (found / "labels.json").read_text()]

    model, labels = kept.read(str(folder), reader)
    assert len(calls) == 2
    assert model == (two[1].model / "model.json").read_text() and "Explanation" in labels


def test_an_error_counts_if_nothing_has_changed(two, tmp_path):
    folder, calls = tmp_path / "current", []
    publish(two[0], folder)

    def reader(found: Path) -> str:
        calls.append(found)
        if len(calls) == 1:  # as DVC does where it links files to its cache
            (found / "labels.json").unlink()
            threading.Timer(0.05, shutil.copy, (two[0].model / "labels.json", found)).start()
        return io.read_json(found / "labels.json")["icd"][0]["code"]

    assert kept.read(str(folder), reader) == note_models.CODES[0] and len(calls) == 2
    (folder / "labels.json").unlink()
    with pytest.raises(UserError, match=r"labels.json: no such file"):
        kept.read(str(folder), reader)
    assert len(calls) == 3


def test_a_folder_that_always_changes_is_one_line(two, tmp_path):
    with pytest.raises(UserError, match=r"old/trained: changes all the time"):
        kept.read(str(two[0].model), lambda folder: os.utime(folder / "labels.json"))


PUBLISHER = """
    import os, shutil, signal, sys
    from pathlib import Path
    from medcode import io

    new, folder, at, exchanges = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "True"

    def killed_at(step, function):
        def call(*arguments, **options):
            if step == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call

    exchange = io._exchange if exchanges else lambda *_: False
    with io.exchanged_folder(folder) as target:
        for number, file in enumerate(sorted(new.iterdir())):
            killed_at(f"copy {number}", shutil.copy)(file, target / file.name)


        def numbered(name, function):
            calls = []
            def call(*arguments, **options):
                calls.append(arguments)
                return killed_at(f"{name} {len(calls)}", function)(*arguments, **options)
            return call

        io.os.replace, io.shutil.rmtree = numbered("replace", os.replace), numbered("remove", shutil.rmtree)
        io._exchange = killed_at("exchange", exchange)
"""
STEPS = ("copy 0", "copy 2", "replace 1", "remove 1", "exchange", "replace 2", "replace 3", "remove 3")


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("at", STEPS)
def test_a_publisher_that_is_killed_leaves_a_model(two, tmp_path, at, exchanges):
    """`replace 1` makes the new folder complete; 2 moves the old one aside, 3 puts the new one in its place."""
    folder = tmp_path / "current"
    publish(two[0], folder)
    before, after = (seen(parts.model) for parts in two)
    command = [sys.executable, "-c", textwrap.dedent(PUBLISHER), two[1].model, folder, at, str(exchanges)]
    done = subprocess.run(command, timeout=60)
    reached = not (exchanges and at in ("replace 2", "replace 3"))
    assert done.returncode == (-signal.SIGKILL if reached else 0)
    assert seen(folder) == (after if at == "remove 3" or not reached else before)
    publish(two[1], folder)
    assert seen(folder) == after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "new", "old"]
