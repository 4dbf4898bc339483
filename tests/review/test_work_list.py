"""The work list: every note is found at its place, in every format, without its text being kept."""

from __future__ import annotations

import csv
import gzip
import json
import random

import note_models
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode.bulk.rows import Columns
from medcode.bulk.sources import Sources
from medcode.errors import UserError
from medcode.review import work_list as module
from medcode.review.work_list import WorkList

COLUMNS = Columns("text", "name")
TEXTS = [f"{note_models.note(number)}\nİ \U0001f600 line {number}" for number in range(150)]
NAMES = [f"n{number}" for number in range(150)]


def rows() -> list[dict]:
    return [{"name": name, "text": text} for name, text in zip(NAMES, TEXTS, strict=True)]


def write(folder, ending: str) -> str:
    path = folder / f"notes{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows()), path, row_group_size=40)
    elif ending.startswith(".csv"):
        with (gzip.open if ending.endswith(".gz") else open)(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["name", "text"])
            writer.writeheader()
            writer.writerows(rows())
    else:
        lines = "\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows())
        with (gzip.open if ending.endswith(".gz") else open)(path, "wt", encoding="utf-8", newline="") as file:
            file.write(lines)
    return str(path)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet"])
def test_notes_are_found_in_any_order(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(module, "KEPT_CHARACTERS", 500)
    notes = WorkList(Sources([write(tmp_path, ending)], COLUMNS))
    assert notes.ids == NAMES and len(notes) == 150 and notes.number_of("n7") == 7 and notes.number_of("x") is None
    order = random.Random(0).sample(range(150), 60)
    for number in [*order, *range(40, 60), 0, 149, 149]:
        assert notes.text(number) == TEXTS[number]
    assert sum(map(len, notes._texts.values())) <= 500


def test_a_folder_of_several_formats_is_one_list(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("fever")
    (folder / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("chills", "cough")))
    (folder / "c.csv").write_text("text\npain\nsepsis\n")
    notes = WorkList(Sources([str(folder)], Columns()))
    assert [notes.text(number) for number in (4, 0, 2, 1, 3)] == ["sepsis", "fever", "cough", "chills", "pain"]
    assert [name.removeprefix(f"{folder}/") for name in notes.ids] == [
        "a.txt",
        "b.jsonl:1",
        "b.jsonl:2",
        "c.csv:1",
        "c.csv:2",
    ]


def test_rows_that_cannot_be_read_are_left_out_with_a_reason(tmp_path):
    path = tmp_path / "notes.jsonl"
    lines = [
        {"name": "a", "text": "fever"}, {"name": "b", "text": "\ud800"}, {"name": "c", "text": "f\0e"},
        {"name": "d\x1b", "text": "x"}, {"text": "x"}, {"name": "e"}, {"name": " f", "text": "x"},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes = WorkList(Sources([str(path)], COLUMNS))
    assert notes.ids == ["a", "f"]  # blanks around an id do not count
    assert [row.place.rpartition(":")[2] for row in notes.unread] == ["2", "3", "4", "5", "6"]
    assert "not valid Unicode" in notes.unread[0].reason and "NUL" in notes.unread[1].reason
    assert "control character" in notes.unread[2].reason


def test_ids_must_differ(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"name": 1, "text": "fever"}\n{"name": "1", "text": "chills"}\n')
    with pytest.raises(UserError, match=r":2: the id 1 comes twice \(--id-column\)"):
        WorkList(Sources([str(path)], COLUMNS))


def test_a_list_without_a_note_says_why(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"name": 1, "text": 5}\n')
    with pytest.raises(UserError, match=r"holds no note that can be read; the first: .*:1: the text is not a string"):
        WorkList(Sources([str(path)], COLUMNS))


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_file_that_has_changed_is_refused_in_one_line(tmp_path, ending):
    path = write(tmp_path, ending)
    notes = WorkList(Sources([path], COLUMNS))
    notes.text(3)
    with open(path, "a") as file:
        file.write("\n")
    assert notes.text(3) == TEXTS[3]
    with pytest.raises(UserError, match="has changed since the review began") as error:
        notes.text(4)
    assert "fever" not in str(error.value)
