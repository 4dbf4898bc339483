"""A run over many notes: order, windows, rejects, and going on after a stop anywhere, a kill included."""

from __future__ import annotations

import csv
import json
import os
import sys

import note_models
import pytest

from medcode import io
from medcode.bulk import progress
from medcode.bulk import run as bulk_run
from medcode.bulk.outputs import OUTPUTS
from medcode.bulk.progress import Progress, alone, folder_of, rejects_of
from medcode.bulk.rows import Columns
from medcode.bulk.run import Run
from medcode.bulk.sources import Position, Sources
from medcode.errors import UserError

COLUMNS = Columns("text", "name")
SETTINGS = {"model": "a"}


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run(coder, jsonl):
    """Return a run over a file of notes, of which every seventh has no words."""

    def make(n: int = 50, window: int = 8, **options) -> Run:
        path = jsonl(n)
        content = [
            json.loads(line) | ({"text": "12"} if number % 7 == 3 else {}) for number, line in enumerate(path.open())
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in content))
        os.utime(path, (0, 0))  # the same notes each time
        return Run(coder, Sources([str(path)], COLUMNS), {"top": 2} | options, window)

    return make


@pytest.mark.parametrize("window", [1, 8, 50, 1000])
def test_the_order_is_that_of_the_notes_whatever_the_window(run, coder, tmp_path, window):
    counts = run(window=window).to_file(tmp_path / "out.jsonl", SETTINGS)
    assert (counts.notes, counts.rejected) == (50, 7)
    found = lines(tmp_path / "out.jsonl")
    assert [line["id"] for line in found] == [f"n{number}" for number in range(50) if number % 7 != 3]
    for line in found:
        (expected,) = coder.predict([note_models.note(int(line["id"][1:]))], top=2)
        assert line["words"] == expected.words
        for code, other in zip(line["codes"], expected.codes, strict=True):
            assert code["code"] == other["code"]
            assert code["probability"] == pytest.approx(other["probability"], abs=1.5e-6)


def test_rows_that_cannot_be_read_are_written_beside_with_reasons_and_without_their_text(run, tmp_path):
    run().to_file(tmp_path / "out.csv", SETTINGS)
    rows = list(csv.DictReader(rejects_of(tmp_path / "out.csv").open()))
    assert [row["id"] for row in rows] == [f"n{number}" for number in range(3, 50, 7)]
    assert rows[0]["place"].endswith("notes.jsonl:4") and rows[0]["reason"].startswith("no words to read")
    assert not folder_of(tmp_path / "out.csv").exists()


def test_without_rejects_there_is_no_file_of_them(coder, jsonl, tmp_path):
    rejects_of(tmp_path / "out.csv").write_text("of an earlier run")
    run = Run(coder, Sources([str(jsonl(5))], COLUMNS))
    assert run.to_file(tmp_path / "out.csv", SETTINGS, overwrite=True).rejected == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.jsonl", "out.csv"]


def test_duplicate_ids_are_kept(coder, jsonl, tmp_path):
    path = jsonl(3)
    path.write_text(path.read_text() * 2)
    Run(coder, Sources([str(path)], COLUMNS)).to_file(tmp_path / "out.jsonl", SETTINGS)
    assert [line["id"] for line in lines(tmp_path / "out.jsonl")] == ["n0", "n1", "n2"] * 2


def test_no_notes_make_an_output_without_notes(run, tmp_path):
    assert run(0).to_file(tmp_path / "out.csv", SETTINGS).notes == 0
    assert (tmp_path / "out.csv").read_text() == OUTPUTS[".csv"].header


class Stop(Exception):
    """Stands for a kill."""


def stopping(monkeypatch, target, name: str, after: int) -> None:
    """Make a function raise `Stop` once it has been called so often."""
    original, calls = getattr(target, name), []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise Stop
        return original(*arguments, **options)

    monkeypatch.setattr(target, name, stop)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".txt"])
@pytest.mark.parametrize(
    ("place", "name", "after"),
    [
        ("journal", "write_json", 0),
        ("journal", "write_json", 1),
        ("journal", "write_json", 4),
        ("journal", "write_json", 7),  # all windows are written, and the run not yet called finished
        ("files", "fsync", 9),
        ("moves", "replace", 9),  # some of these are of the journal
        ("moves", "replace", 8),
        ("folder", "rmtree", 0),
    ],
)
def test_a_run_goes_on_where_it_was_stopped(run, tmp_path, monkeypatch, ending, place, name, after):
    whole, output = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    run().to_file(whole, SETTINGS)
    target = {"journal": io, "files": os, "moves": os, "folder": progress.shutil}[place]
    with monkeypatch.context() as patched:
        stopping(patched, target, name, after)
        with pytest.raises(Stop):
            run().to_file(output, SETTINGS)
    assert folder_of(output).exists()
    for file in (progress.PREDICTIONS, progress.REJECTS):  # a window of which half was written
        if (folder_of(output) / file).exists() and place == "journal" and after < 7:
            with open(folder_of(output) / file, "ab") as torn:
                torn.write(b'{"id": "torn')
    counts = run().to_file(output, SETTINGS)
    assert (counts.notes, counts.rejected) == (50, 7)
    assert output.read_bytes() == whole.read_bytes()
    assert rejects_of(output).read_bytes() == rejects_of(whole).read_bytes()
    assert not folder_of(output).exists()


def test_a_run_goes_on_only_with_the_same_notes_model_and_options(run, jsonl, tmp_path, monkeypatch):
    output, first = tmp_path / "out.jsonl", run()
    with monkeypatch.context() as patched:
        stopping(patched, io, "write_json", 2)
        with pytest.raises(Stop):
            first.to_file(output, SETTINGS)
    before = (folder_of(output) / progress.PREDICTIONS).read_bytes()
    message = r"out\.jsonl\.part: a run was stopped that had other {}; give the same to go on, or remove the folder"
    with pytest.raises(UserError, match=message.format("model")):
        first.to_file(output, {"model": "b"})
    with pytest.raises(UserError, match=message.format("model, top")):
        first.to_file(output, {"top": 1})
    with pytest.raises(UserError, match=message.format("notes")):
        Run(first.coder, Sources([str(jsonl(3, "other.jsonl"))], COLUMNS), {}, 8).to_file(output, SETTINGS)
    with pytest.raises(UserError, match=message.format("notes at a time")):
        Run(first.coder, first.sources, first.options, 9).to_file(output, SETTINGS)
    assert (folder_of(output) / progress.PREDICTIONS).read_bytes() == before and not output.exists()


def test_an_output_that_exists_is_kept_unless_it_may_be_replaced(run, tmp_path):
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(UserError, match=r"out\.jsonl: exists; --overwrite replaces it"):
        run().to_file(output, SETTINGS)
    assert output.read_text() == "mine" and not folder_of(output).exists()
    run().to_file(output, SETTINGS, overwrite=True)
    assert len(lines(output)) == 43
    output.unlink()
    with pytest.raises(UserError, match=r"out\.rejects\.csv: exists"):
        run().to_file(output, SETTINGS)


def test_the_old_output_stays_until_the_new_one_is_complete(run, tmp_path, monkeypatch):
    output, whole = tmp_path / "out.jsonl", run()
    output.write_text("mine")
    with monkeypatch.context() as patched:
        stopping(patched, io, "write_json", 3)
        with pytest.raises(Stop):
            whole.to_file(output, SETTINGS, overwrite=True)
    assert output.read_text() == "mine"
    with pytest.raises(UserError, match="--overwrite"):
        whole.to_file(output, SETTINGS)
    whole.to_file(output, SETTINGS, overwrite=True)
    assert len(lines(output)) == 43


def test_a_file_of_predictions_that_was_cut_is_refused(run, tmp_path, monkeypatch):
    output, first = tmp_path / "out.jsonl", run()
    with monkeypatch.context() as patched:
        stopping(patched, io, "write_json", 2)
        with pytest.raises(Stop):
            first.to_file(output, SETTINGS)
    os.truncate(folder_of(output) / progress.PREDICTIONS, 5)
    with pytest.raises(UserError, match="predictions: shorter than it was; remove the folder to begin again"):
        first.to_file(output, SETTINGS)


def test_two_processes_do_not_write_one_output(run, tmp_path):
    with alone(tmp_path / "out.jsonl"), pytest.raises(UserError, match="another process is writing it"):
        run().to_file(tmp_path / "out.jsonl", SETTINGS)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    with alone(tmp_path / "out.csv"):
        files = Progress(tmp_path / "out.csv", {}, ("a\n", "b\n"))

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"out\.csv\.part: could not be written \(No space left on device\)"):
            files.write("x", "y", Position(0, 1))
        files.close()


def test_a_folder_that_cannot_be_written_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"out\.csv\.part: cannot be made"):
        run().to_file(tmp_path / "file" / "out.csv", SETTINGS)


def test_what_is_printed_is_in_the_order_of_the_notes_too(run, capsys):
    counts = run().to_stream(sys.stdout, OUTPUTS[".jsonl"])
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 43 and counts.rejected == 7
    assert printed.err.count("\n") == 7 and ":4: no words to read" in printed.err


def test_progress_is_shown_on_a_terminal_alone(run, monkeypatch, tmp_path, capsys):
    shown = []

    class Bar(bulk_run.tqdm):
        def __init__(self, *arguments, **options) -> None:
            shown.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(bulk_run, "tqdm", Bar)
    run().to_file(tmp_path / "out.csv", SETTINGS)
    assert [options["disable"] for options in shown] == [None] and capsys.readouterr().err == ""
