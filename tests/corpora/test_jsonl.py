"""Custom corpora in JSON lines: valid lines are read, and every error names its line."""

from __future__ import annotations

import gzip
import json

import pytest

from medcode import corpora
from medcode.config.corpora.jsonl import Options
from medcode.errors import UserError

ALL = Options(systems=["icd9cm", "icd9proc", "icd10cm", "icd10pcs"])
SECRET = "lives at the harbor"


def line(**changes) -> dict:
    return {
        "admission_id": "1",
        "patient_id": "7",
        "text": SECRET,
        "codes": [{"system": "icd10cm", "code": "E11.9"}],
    } | changes


def write(folder, *lines, name="notes.jsonl"):
    content = b"".join(x if isinstance(x, bytes) else json.dumps(x).encode() + b"\n" for x in lines)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def test_files_are_read_in_the_order_of_their_names(tmp_path):
    codes = [{"system": "icd10cm", "code": "e119"}, {"system": "icd10cm", "code": "E11.9"}]
    write(tmp_path, line(admission_id=3, patient_id=7, codes=codes), b"\n", name="b.jsonl")
    write(tmp_path, b"\xef\xbb\xbf" + json.dumps(line(admission_id="2", codes=[])).encode(), name="a.jsonl.gz")
    read = corpora.read("jsonl", tmp_path, ALL)
    assert read.notes.table()["admission_id"].to_pylist() == ["2", "3"]
    assert read.notes.table()["patient_id"].to_pylist() == ["7", "7"]
    assert read.notes.table()["split"].to_pylist() == [None, None]
    assert read.codes.to_pylist() == [{"admission_id": "3", "system": "icd10cm", "code": "E11.9"}]
    assert read.counts["dropped"]["codes_duplicate"] == 1
    assert read.counts["admissions_with_notes_without_codes"] == 1


@pytest.mark.parametrize("code", ["QA0.0109", "QA00109", "qa0.0109"])
def test_codes_of_the_edition_of_2026_with_two_letters_are_read(tmp_path, code):
    write(tmp_path, line(codes=[{"system": "icd10cm", "code": code}]))
    assert corpora.read("jsonl", tmp_path, ALL).codes["code"].to_pylist() == ["QA0.0109"]


def test_other_systems_are_left_out_and_counted(tmp_path):
    write(tmp_path, line(codes=[{"system": "icd9proc", "code": "0331"}, {"system": "icd10cm", "code": "I10"}]))
    read = corpora.read("jsonl", tmp_path, Options(systems=["icd9proc"]))
    assert read.codes["code"].to_pylist() == ["03.31"]
    assert read.counts["dropped"]["codes_of_other_systems"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (line(admission_id="0"), "admission_id 0 comes twice"),
        (line(admission_id=True), "'admission_id' must be a string or a whole number"),
        (line(admission_id=1.5), "'admission_id' must be a string or a whole number"),
        (line(patient_id=" "), "'patient_id' is empty"),
        (line(patient_id="a\nb"), "'patient_id' is empty or holds a control character"),
        (line(text=None), "'text' must be a string"),
        (line(text="\ud800"), "'text' holds half of a surrogate pair"),
        (line(codes=None), "'codes' must be a list"),
        (line(codes=["E11.9"]), "must be an object with the keys 'system' and 'code'"),
        (line(codes=[{"system": "icd10", "code": "E11.9"}]), "unknown code system 'icd10'; did you mean 'icd10cm'"),
        (line(codes=[{"system": "icd9cm", "code": 250}]), "'code' must be a string: a number loses its zeros"),
        (line(codes=[{"system": "icd9proc", "code": "3.31"}]), "'3.31' is not a code of icd9proc"),
        (line(split="tests"), "'split' is none of .*; did you mean 'test'"),
        (line(split="background"), "a background note has no codes"),
        (line(spilt="train"), "unknown key 'spilt'; did you mean 'split'"),
        ({"admission_id": "1", "text": SECRET, "codes": []}, "there is no 'patient_id'"),
        ([1], "expected a JSON object"),
        (b'{"text": "' + SECRET.encode() + b"\n", "not JSON"),
        (b'{"text": "' + SECRET.encode() + b' \xe9"}\n', "not UTF-8"),
        (b"[" * 100_000 + b"\n", "nested too deeply|not JSON"),
    ],
)
def test_an_error_names_the_wrong_line_without_its_text(tmp_path, wrong, message):
    write(tmp_path, line(admission_id="0"), wrong)
    with pytest.raises(UserError, match=rf"notes\.jsonl: line 2: .*({message})") as caught:
        corpora.read("jsonl", tmp_path, ALL)
    assert SECRET not in str(caught.value)


def test_a_truncated_gz_is_refused(tmp_path):
    write(tmp_path, *(line(admission_id=i, text=str(i**7)) for i in range(2000)), name="notes.jsonl.gz")
    (tmp_path / "notes.jsonl.gz").write_bytes((tmp_path / "notes.jsonl.gz").read_bytes()[:-500])
    with pytest.raises(UserError, match=r"notes\.jsonl\.gz: cut off or damaged"):
        corpora.read("jsonl", tmp_path, ALL)


def test_a_folder_without_jsonl_files_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no \*\.jsonl"):
        corpora.read("jsonl", tmp_path, ALL)
    write(tmp_path)
    with pytest.raises(UserError, match="the corpus is empty"):
        corpora.read("jsonl", tmp_path, ALL)
    write(tmp_path, line(codes=[]))
    with pytest.raises(UserError, match="no admission with a note has a code"):
        corpora.read("jsonl", tmp_path, ALL)
