"""A ledger as a corpus: the stage `extract` reads it."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import stage_commands
import yaml

from medcode.bulk.rows import Columns
from medcode.bulk.sources import Sources
from medcode.errors import UserError
from medcode.review.decisions import CodeDecision, State
from medcode.review.export import export
from medcode.review.ledger import text_digest

TEXTS = ["Fever,\nİ \U0001f600 \u202e chills", "pneumonia", "sepsis", "cough"]


def code(system: str, code: str) -> CodeDecision:
    return CodeDecision(system=system, code=code)


def state() -> State:
    state = State()
    decisions = [
        ("n0", "accept", [code("icd9cm", "780.6"), code("icd9proc", "96.6")]),
        ("n0", "reject", [code("icd9cm", "486")]),
        ("n0", "add", [code("icd10cm", "E11.9")]),
        ("n0", "done", []),
        ("n1", "accept", [code("icd9cm", "486")]),  # not done
        ("n2", "done", []),  # without codes
        ("n3", "add", [code("icd9cm", "486")]),
        ("n3", "reject", [code("icd9cm", "486")]),
        ("n3", "accept", [code("icd9cm", "786.2")]),
        ("n3", "done", []),
    ]
    for number, (note, action, codes) in enumerate(decisions, start=1):
        state.decide(number, note, action, codes)
    return state


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    lines = [{"name": f"n{number}", "patient": number // 2, "note": text} for number, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def sources(path) -> Sources:
    return Sources([str(path)], Columns("note", "name"))


def test_the_stage_extract_reads_the_exported_file(notes, tmp_path, root):
    output = tmp_path / "raw/jsonl/reviewed.jsonl"
    assert export(state(), sources(notes), output, "patient") == 3
    params = yaml.safe_load((root / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "corpus": "jsonl"}, sort_keys=False))
    names = {name: f"{name}.parquet" for name in ("notes", "codes", "spans")}
    options = stage_commands.options(params="params.yaml", raw="raw/jsonl", metrics="extract.json", **names)
    done = stage_commands.in_this_process("extract", options, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    read = {row["admission_id"]: row for row in pq.read_table(tmp_path / "notes.parquet").to_pylist()}
    assert {note: (row["patient_id"], row["text"]) for note, row in read.items()} == {
        "n0": ("0", TEXTS[0]), "n2": ("1", TEXTS[2]), "n3": ("1", TEXTS[3])
    }  # fmt: skip
    codes = pq.read_table(tmp_path / "codes.parquet").to_pylist()
    assert {(row["admission_id"], row["system"], row["code"]) for row in codes} == {
        ("n0", "icd9cm", "780.6"), ("n0", "icd9proc", "96.6"), ("n0", "icd10cm", "E11.9"), ("n3", "icd9cm", "786.2")
    }  # fmt: skip


def test_without_a_column_of_patients_each_note_is_one(notes, tmp_path):
    export(state(), sources(notes), tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["admission_id"], line["patient_id"]) for line in lines] == [("n0", "n0"), ("n2", "n2"), ("n3", "n3")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:3], "1 notes of the ledger are not among NOTES, the first: n3"),
        (lambda lines: [*lines, lines[3]], ":5: the id n3 comes twice"),
        (lambda lines: [*lines[:3], {"name": "n3", "note": "x"}], ":4: has no patient in the column 'patient'"),
        (lambda lines: [*lines[:3], lines[3] | {"note": "\ud800"}], ":4: cannot be read any more: not valid Unicode"),
        (lambda lines: [*lines[:3], lines[3] | {"note": None}], ":4: cannot be read any more: no text"),
    ],
)
def test_notes_that_are_not_as_they_were_write_nothing(notes, tmp_path, change, message):
    lines = change([json.loads(line) for line in notes.read_text().splitlines()])
    notes.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=message):
        export(state(), sources(notes), tmp_path / "out.jsonl", "patient")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.jsonl"]


def test_a_ledger_without_a_note_that_is_done_is_refused(notes, tmp_path):
    with pytest.raises(UserError, match="no note that is done"):
        export(State(), sources(notes), tmp_path / "out.jsonl")


def test_a_note_whose_text_has_changed_since_the_decision_is_refused(notes, tmp_path):
    decided = State()
    decided.decide(1, "n0", "done", [], text_digest(TEXTS[0]))
    decided.decide(2, "n1", "done", [], text_digest("another text"))
    output = tmp_path / "reviewed.jsonl"
    with pytest.raises(UserError, match=r"notes\.jsonl:2: note n1 has another text than the one that was decided on$"):
        export(decided, sources(notes), output)
    assert not output.exists()
    decided.undo(2)
    assert export(decided, sources(notes), output) == 1
