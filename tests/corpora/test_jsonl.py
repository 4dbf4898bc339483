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


def test_ids_that_look_like_numbers_stay_as_they_are(tmp_path):
    codes = [[{"system": "icd10cm", "code": code}] for code in ("I10", "J18.9")]
    own = [span(code="I10", end=2)]
    write(tmp_path, line(admission_id="17.0", codes=codes[0], spans=own), line(admission_id="17", codes=codes[1]))
    read = corpora.read("jsonl", tmp_path, ALL)
    assert read.notes.table()["admission_id"].to_pylist() == ["17.0", "17"]
    assert [(row["admission_id"], row["code"]) for row in read.codes.to_pylist()] == [("17.0", "I10"), ("17", "J18.9")]
    assert read.spans["admission_id"].to_pylist() == ["17.0"]


def span(**changes) -> dict:
    return {"system": "icd10cm", "code": "E11.9", "start": 0, "end": 5} | changes


def discontinuous(*parts) -> dict:
    return {"system": "icd10cm", "code": "E11.9", "parts": list(parts)}


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


def test_keys_of_other_names_are_counted_and_named_without_their_values(tmp_path):
    write(tmp_path, line(ward=SECRET, patient_dob=SECRET), line(admission_id="2", ward=5, **{SECRET * 6: 1, "née": 0}))
    read = corpora.read("jsonl", tmp_path, ALL)
    assert read.counts["keys_not_read"] == {"ward": 2, "patient_dob": 1, "others": 1, "née": 1}
    (remark,) = read.remarks
    assert (
        remark.startswith("jsonl: keys that are not read")
        and "ward (2), patient_dob (1), others (1), née (1)" in remark
    )
    assert SECRET not in remark


def test_keys_without_end_have_one_count(tmp_path):
    write(tmp_path, *(line(admission_id=i, **{f"k{i}x{j}": 0 for j in range(3)}) for i in range(40)))
    read = corpora.read("jsonl", tmp_path, ALL)
    assert len(read.counts["keys_not_read"]) == 51 and read.counts["keys_not_read"]["others"] == 70
    assert read.remarks[0].endswith(" and 41 more")


@pytest.mark.parametrize("typed", ["spilt", "Split", "split_", "plit", "spliit", "spkit"])
def test_a_key_that_looks_like_a_typing_error_is_refused(tmp_path, typed):
    write(tmp_path, line(**{typed: "train"}))
    with pytest.raises(UserError, match=rf"line 1: unknown key '{typed}'; did you mean 'split'"):
        corpora.read("jsonl", tmp_path, ALL)
    write(tmp_path, line(**{typed: "train", "split": "dev"}))
    assert corpora.read("jsonl", tmp_path, ALL).counts["keys_not_read"] == {typed: 1}


@pytest.mark.parametrize("code", ["QA0.0109", "QA00109", "qa0.0109"])
def test_codes_of_the_edition_of_2026_with_two_letters_are_read(tmp_path, code):
    write(tmp_path, line(codes=[{"system": "icd10cm", "code": code}]))
    assert corpora.read("jsonl", tmp_path, ALL).codes["code"].to_pylist() == ["QA0.0109"]


def test_other_systems_are_left_out_and_counted(tmp_path):
    write(tmp_path, line(codes=[{"system": "icd9proc", "code": "0331"}, {"system": "icd10cm", "code": "I10"}]))
    read = corpora.read("jsonl", tmp_path, Options(systems=["icd9proc"]))
    assert read.codes["code"].to_pylist() == ["03.31"]
    assert read.counts["dropped"]["codes_of_other_systems"] == 1


def test_spans_of_the_chosen_systems(tmp_path):
    codes = [{"system": "icd10cm", "code": "E11.9"}, {"system": "icd10pcs", "code": "0DTJ4ZZ"}]
    spans = [span(), span(code="e119", start=6, end=8), span(system="icd10pcs", code="0DTJ4ZZ")]
    write(tmp_path, line(admission_id="1", codes=codes, spans=spans), line(admission_id="2"))
    read = corpora.read("jsonl", tmp_path, Options(systems=["icd10cm"]))
    assert [tuple(row.values()) for row in read.spans.to_pylist()] == [
        ("1", "icd10cm", "E11.9", 0, 0, 5),
        ("1", "icd10cm", "E11.9", 1, 6, 8),
    ]
    assert read.counts["spans"]["icd10cm"] == {"spans": 2, "parts": 2, "admissions": 1, "codes_without_span": 1}


def test_the_parts_of_a_discontinuous_span_share_its_number(tmp_path):
    write(tmp_path, line(spans=[span(), discontinuous([0, 5], [8, 11])]))
    read = corpora.read("jsonl", tmp_path, ALL)
    places = [(row["span"], row["start"], row["end"]) for row in read.spans.to_pylist()]
    assert places == [(0, 0, 5), (1, 0, 5), (1, 8, 11)]
    assert read.counts["spans"]["icd10cm"]["spans"] == 2 and read.counts["spans"]["icd10cm"]["parts"] == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (line(spans=None), "'spans' must be a list"),
        (line(spans=[[0, 5]]), "each of 'spans' must be an object with the keys 'system', 'code', 'start' and 'end'"),
        (line(spans=[span(stop=5)]), "each of 'spans' must be an object with the keys"),
        (line(spans=[span(code="I10")]), "'spans' has one of icd10cm I10, which is none of the 'codes' of this line"),
        (line(spans=[span(code="E1")]), "'E1' is not a code of icd10cm"),
        (line(spans=[span(start=-1)]), "the span -1 to 5 is not within the note, which has 19 characters"),
        (line(spans=[span(end=20)]), "the span 0 to 20 is not within the note, which has 19 characters"),
        (line(spans=[span(start=5)]), "the span 5 to 5 is empty"),
        (line(spans=[span(end=5.0)]), "'start' and 'end' must be whole numbers"),
        (line(spans=[span(start=False)]), "'start' and 'end' must be whole numbers"),
        (line(spans=[span(parts=[[0, 5]])]), "must be an object with the keys 'system', 'code' and 'parts'"),
        (line(spans=[discontinuous()]), "'parts' must be a list of pairs"),
        (line(spans=[discontinuous([0, 5, 7])]), "'parts' must be a list of pairs"),
        (line(spans=[discontinuous([0, True])]), "'start' and 'end' must be whole numbers"),
        (line(spans=[discontinuous([0, 5], [7, 20])]), "the span 7 to 20 is not within the note"),
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
