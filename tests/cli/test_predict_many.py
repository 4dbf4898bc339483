"""`predict` for many notes: what it writes and says, its exit codes, and one line for a mistake."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace

import note_models
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode.coder import Coder
from medcode.inference import saved_model

N = 12


@pytest.fixture
def model(recipe, tmp_path):
    return note_models.saved(tmp_path / "model", recipe)


@pytest.fixture
def folder(tmp_path):
    """A folder of text files n00.txt, n01.txt, ..."""
    (tmp_path / "notes").mkdir()
    for number in range(N):
        (tmp_path / "notes" / f"n{number:02}.txt").write_text(note_models.note(number))
    return tmp_path / "notes"


@pytest.fixture(params=["folder", "jsonl", "csv", "parquet"])
def notes(request, folder, tmp_path):
    """The same notes in every form, with the options that they need and their ids."""
    files = sorted(folder.iterdir())
    rows = [{"id": f"n{number}", "note": file.read_text()} for number, file in enumerate(files)]
    path = tmp_path / f"notes.{request.param}"
    if request.param == "folder":
        return [folder], [str(file) for file in files]
    if request.param == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif request.param == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "note"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return [path, "--text-column", "note", "--id-column", "id"], [row["id"] for row in rows]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "txt"])
def test_every_form_of_notes_goes_to_every_form_of_output(command, model, notes, tmp_path, ending):
    arguments, ids = notes
    output = tmp_path / f"codes.{ending}"
    code, out, err = command("predict", *arguments, "--model", model, "--top", 2, "--output", output)
    assert (code, out, err) == (0, f"{output}: {N} notes\n", "")
    if ending == "jsonl":
        found = [json.loads(line)["id"] for line in output.read_text().splitlines()]
        assert found == ids
    elif ending == "csv":
        found = [row["id"] for row in csv.DictReader(output.open(newline=""))]
        assert found == [id_ for id_ in ids for _ in range(2)]
    elif ending == "parquet":
        assert pq.read_table(output)["id"].to_pylist() == [id_ for id_ in ids for _ in range(2)]
    else:
        assert [line.split()[0] for line in output.read_text().splitlines()] == [id_ for id_ in ids for _ in range(2)]


def test_the_codes_are_those_of_each_note_alone(command, model, folder, tmp_path):
    command("predict", folder, "--model", model, "--output", tmp_path / "codes.jsonl", "--evidence")
    for line in map(json.loads, (tmp_path / "codes.jsonl").read_text().splitlines()):
        alone = json.loads(command("predict", line.pop("id"), "--model", model, "--format", "json", "--evidence")[1])
        for one in (line, alone):
            for code in one["codes"]:
                code["probability"] = pytest.approx(code["probability"], abs=1e-4)
        assert line == alone


def test_without_an_output_the_codes_are_printed(command, model, folder):
    code, out, err = command("predict", folder, "--model", model, "--top", 1)
    assert (code, err) == (0, "") and len(out.splitlines()) == N
    assert out.splitlines()[0].startswith(f"{folder / 'n00.txt'}  0.")
    several = command("predict", *sorted(folder.iterdir()), "--model", model, "--top", 1)
    assert several == (code, out, err)
    lines = command("predict", folder, "--model", model, "--format", "json")[1].splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(file) for file in sorted(folder.iterdir())]


def test_names_and_notes_with_odd_characters_are_written(command, model, folder, tmp_path):
    (folder / "n01.txt").rename(folder / os.fsdecode(b'\xff \xe2\x82\xac,".txt'))
    (folder / "n02.txt").rename(folder / "a\nb.txt")
    (folder / "a\nb.txt").write_text("fever \u2028 \U0001f600 İstanbul \x1b[2J chills\x85")
    (folder / "n04.txt").write_bytes(b"\xff")
    (folder / "n04.txt").rename(folder / os.fsdecode(b"\xfe.txt"))
    odd = {f'{folder}/\\udcff €,".txt', f"{folder}/a\nb.txt"}
    for ending in ("csv", "jsonl", "parquet", "txt"):
        output = tmp_path / f"codes.{ending}"
        assert command("predict", folder, "--model", model, "--top", 1, "--output", output, "--overwrite")[0] == 3
    assert odd < {json.loads(line)["id"] for line in (tmp_path / "codes.jsonl").read_text().splitlines()}
    assert odd < {row["id"] for row in csv.DictReader((tmp_path / "codes.csv").open(newline=""))}
    assert odd < set(pq.read_table(tmp_path / "codes.parquet")["id"].to_pylist())
    assert len((tmp_path / "codes.txt").read_text().splitlines()) == N - 1
    assert "udcfe.txt" in (tmp_path / "codes.rejects.csv").read_text()
    assert command("predict", folder, "--model", model, "--top", 1)[0] == 3


def test_one_text_file_is_written_too(command, model, folder, tmp_path):
    code, out, _ = command("predict", folder / "n03.txt", "--model", model, "--output", tmp_path / "a.csv")
    assert (code, out) == (0, f"{tmp_path / 'a.csv'}: 1 notes\n")


def test_notes_that_cannot_be_read_are_counted_with_exit_code_3(command, model, folder, tmp_path):
    (folder / "n01.txt").write_bytes("fever of unknown origin".encode("utf-16-le"))
    (folder / "n02.txt").write_bytes(b"fever of unknown origin \xff")
    (folder / "n03.txt").write_bytes(b"")
    output, rejects = tmp_path / "codes.csv", tmp_path / "codes.rejects.csv"
    code, out, err = command("predict", folder, "--model", model, "--output", output)
    assert (code, out) == (3, f"{output}: {N - 3} notes\n")
    assert err == f"WARNING: 3 of 12 notes could not be read; {rejects} says why\n"
    rows = list(csv.DictReader(rejects.open(newline="")))
    assert [row["id"] for row in rows] == [str(folder / f"n0{number}.txt") for number in (1, 2, 3)]
    starts = ("holds NUL characters", "not UTF-8 text (byte 25)", "no words to read")
    assert all(row["reason"].startswith(start) for row, start in zip(rows, starts, strict=True))
    assert "origin" not in rejects.read_text()
    code, out, err = command("predict", folder, "--model", model)
    assert code == 3 and f"rejected: {folder / 'n03.txt'}: no words to read" in err
    assert err.endswith("WARNING: 3 of 12 notes could not be read\n")


def test_what_the_codes_do_not_show_is_said(command, model, folder, tmp_path):
    (folder / "n01.txt").write_text("fever " * 60)
    (folder / "n02.txt").write_text("fiebre " * 30)
    saved_model.save(saved_model.of_seed(model, 2), saved_model.load(model), {"seed": 2})
    saved_model.save_ensemble(model, {"icd": 0.0})
    _, _, err = command("predict", folder, "--model", model, "--output", tmp_path / "codes.csv")
    lines = err.splitlines()
    assert lines[:3] == [
        "note: read the first 50 words of 1 longer notes",
        "note: most words of 1 notes are unknown to the model",
        "note: means of the probabilities of 2 models, one for each seed",
    ]
    assert len(lines) == 4 and lines[3].startswith("WARNING: icd: the threshold tuned on dev is 0")
    (folder / "n02.txt").write_text("fever " + "fiebre " * 30)
    err = command("predict", folder / "n02.txt", "--model", model, "--top", 1)[2]
    assert "note: most of it is unknown to the model, whose vocabulary has 1 of 31 words\n" in err


def test_notes_of_unusual_length_are_counted(command, model, folder, tmp_path):
    saved_model.save(model, replace(saved_model.load(model), dev_lengths=(1, 40)), {"seed": 1})
    (folder / "n01.txt").write_text("fever " * 41)
    _, _, err = command("predict", folder, "--model", model, "--output", tmp_path / "codes.csv")
    assert "note: 1 notes are shorter or longer than all that it was tuned on\n" in err


@pytest.fixture
def interrupted(command, monkeypatch):
    """Run a command that is interrupted in its third window."""

    def run(*arguments: object) -> None:
        original, calls = Coder.try_predict, []

        def predict(*arguments, **options):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(Coder, "try_predict", predict)
            code, _, err = command(*arguments)
            assert code == 130 and "note: stopped; the same command goes on\n" in err

    return run


def test_an_interrupted_run_goes_on(command, interrupted, model, folder, tmp_path):
    output = tmp_path / "codes.csv"
    arguments = ("predict", folder, "--model", model, "--save-every", 5, "--output", output)
    interrupted(*arguments)
    assert not output.exists()
    assert command(*arguments) == (0, f"{output}: 12 notes\n", "note: goes on after 10 notes\n")
    assert command(*arguments) == (2, "", f"error: {output}: exists; --overwrite replaces it\n")
    assert command(*arguments, "--overwrite")[0] == 0


def test_a_stopped_run_does_not_go_on_with_another_model_or_option(
    command, interrupted, recipe, model, folder, tmp_path
):
    arguments = ("predict", folder, "--save-every", 5, "--output", tmp_path / "codes.csv")
    interrupted(*arguments, "--model", model)
    message = "a run was stopped that had other {}; give the same to go on, or remove the folder to begin again"
    thresholds = tmp_path / "thresholds"
    shutil.copytree(model, thresholds)
    content = json.loads((model / "model.json").read_text())
    (thresholds / "model.json").write_text(json.dumps(content | {"thresholds": {"icd": 0.1}}))
    for changes, other in (
        (("--model", note_models.saved(tmp_path / "other", recipe, seed=3)), "model"),
        (("--model", thresholds), "model"),
        (("--model", model, "--top", 3, "--evidence"), "evidence, top"),
    ):
        code, _, err = command(*arguments, *changes)
        assert code == 2 and message.format(other) in err
    shutil.copytree(model, tmp_path / "moved")
    assert command(*arguments, "--model", tmp_path / "moved")[0] == 0  # the same model elsewhere


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "NOTES"), "standard input: holds one note, and is read without --output; name files or folders"),
        (("--output", "a.csv"), "standard input: holds one note, and is read without --output; name files or folders"),
        (("NOTES", "--output", "NOTES/a.csv"), "--output: NOTES/a.csv is among the notes; write it elsewhere"),
        (
            ("NOTES/n01.txt", "--output", "NOTES/n01.txt"),
            "--output: NOTES/n01.txt is among the notes; write it elsewhere",
        ),
        (("NOTES", "--html", "a.html"), "--html: shows one note"),
        (
            ("NOTES", "--output", "a.xlsx"),
            "--output: a folder, or a file that ends in .jsonl, .csv, .parquet, .txt; found a.xlsx",
        ),
        (
            ("NOTES", "--output", "a.csv", "--part", "5"),
            "--part: is for an output that is a folder; name one without an",
        ),
        (
            ("NOTES", "--ray", "auto"),
            "--ray: is for an output that is a folder; name one without an ending by --output",
        ),
        (("NOTES", "--output", "codes", "--part", "0"), "--part: at least 1, found 0"),
        (
            ("NOTES", "--output", "docs.csv", "--format", "json"),
            "--format: says what is printed; the ending of --output",
        ),
        (("NOTES", "--save-every", "5"), "--overwrite and --save-every: are for --output"),
        (("NOTES", "--output", "a.csv", "--save-every", "0"), "--save-every: at least 1, found 0"),
        (("NOTES", "--text-column", "a", "--id-column", "a"), "--id-column: a is the column of the text"),
        (("NOTES", "--method", "exact", "--evidence"), "method: exact does not work for this model"),
        (("NOTES/n01.txt", "--id-column", "a"), "--id-column: for many notes; this is one, and without --output"),
        (("NOTES/none.jsonl",), "NOTES/none.jsonl: no such file or folder"),
        (("NOTES", "--threshold", "7"), "--threshold: a probability from 0 to 1, found 7.0"),
    ],
)
def test_a_mistake_is_reported_in_one_line(command, model, folder, arguments, message):
    arguments = [argument.replace("NOTES", str(folder)) for argument in arguments]
    code, out, err = command("predict", *arguments, "--model", model)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f"error: {message.replace('NOTES', str(folder))}")


def test_a_mistake_leaves_nothing_behind(command, model, folder, tmp_path):
    arguments = ("--evidence", "--method", "exact", "--output", tmp_path / "codes.csv")
    assert command("predict", folder, "--model", model, *arguments)[0] == 2
    assert command("predict", folder, "--model", tmp_path / "none", "--output", tmp_path / "codes.csv")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "notes"]
