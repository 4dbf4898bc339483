"""The same predictions in every format."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from medcode.bulk.outputs import FIELDS, OUTPUTS, flat, table, write_parquet
from medcode.inference.predict import PredictedCode, Prediction

TEXT = "Fever and chills."
ODD = 'n"1,\n\U0001f600;'
CODE = PredictedCode(head="icd", system="icd9cm", code="780.6", description='Fever, "raised"', probability=0.12345678)


def prediction(*codes: PredictedCode, **changes) -> Prediction:
    values = {"words": 3, "words_read": 3, "words_known": 2, "unit": "words", "seeds": 1, "thresholds": {"icd": 0.1}}
    return Prediction("caml", "top50", list(codes), **values | changes)


PREDICTIONS = {
    ODD: prediction(
        CODE | {"evidence": [0, 5], "spans": [[0, 5, "Fever", 0.9]]},
        CODE | {"code": "486", "unseen": True, "spans": []},
    ),
    "n2": prediction(words=0),
    "n3": prediction(CODE),
}


def encoded(ending: str) -> str:
    output = OUTPUTS[ending]
    return output.header + "".join(output.encode(id_, TEXT, one) for id_, one in PREDICTIONS.items())


def test_a_line_of_json_is_what_one_note_prints_behind_its_id():
    lines = [json.loads(line) for line in encoded(".jsonl").splitlines()]
    assert [line["id"] for line in lines] == list(PREDICTIONS)
    assert list(lines[0]) == ["id", *PREDICTIONS[ODD].as_dict()]
    assert lines[0]["codes"][0] == CODE | {"probability": 0.123457, "evidence": [0, 5], "spans": [[0, 5, "Fever", 0.9]]}
    assert lines[1]["codes"] == [] and encoded(".jsonl").isascii()


def test_no_code_lies_below_its_threshold_for_being_rounded():
    code = CODE | {"probability": 0.12342, "threshold": 0.123415}
    found = prediction(code, CODE | {"threshold": 1e-6}, thresholds={"icd": 0.123415}).rounded(4)
    assert found.codes[0]["probability"] >= found.codes[0]["threshold"] == found.thresholds["icd"] == 0.1234
    assert found.codes[1]["threshold"] == 1e-6, "0 would look as if all codes were predicted"


def test_csv_and_parquet_have_a_row_for_each_code_and_each_note_without_codes(tmp_path):
    rows = list(csv.DictReader(io.StringIO(encoded(".csv"), newline="")))
    (tmp_path / "lines").write_text(encoded(".jsonl"))
    write_parquet(tmp_path / "lines", tmp_path / "a.parquet")
    records = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["id"] for row in rows] == [ODD, ODD, "n2", "n3"] == [record["id"] for record in records]
    assert tuple(rows[0]) == FIELDS == tuple(records[0])
    for row, record in zip(rows, records, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in record.items()}
    first = {"id": ODD} | CODE | {"probability": 0.123457, "unseen": False, "sentence_start": 0, "sentence_end": 5}
    first |= {"spans": '[[0, 5, "Fever", 0.9]]', "words": 3, "words_read": 3, "words_known": 2}
    assert records[0] == first
    assert records[1]["unseen"] is True and records[1]["spans"] == "[]" and records[1]["sentence_start"] is None
    assert records[2] == dict.fromkeys(FIELDS) | {"id": "n2", "words": 0, "words_read": 3, "words_known": 2}
    assert records[3]["spans"] is None


def test_a_parquet_table_without_notes_has_its_columns(tmp_path):
    (tmp_path / "lines").write_text("")
    write_parquet(tmp_path / "lines", tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").schema.names == list(FIELDS)


def test_a_table_for_people_names_the_note_in_each_line():
    lines = encoded(".txt").splitlines()
    assert lines[0].endswith('  0.123  icd9cm    780.6     Fever, "raised"')
    assert lines[1] == "        90%  [[Fever]] and chills."
    assert "\n" not in lines[0] and lines[2].endswith("(unseen)") and "no words stand out" in lines[3]
    assert lines[4] == "n2  no code is above the threshold" and lines[5].startswith("n3  0.123")
    assert "<b>Fever</b>" in table(("<b>", "</b>")).encode("n", TEXT, PREDICTIONS[ODD])


@pytest.mark.parametrize("name", ["id", "words", "words_read", "words_known"])
def test_rows_of_a_note_have_what_is_of_the_note(name):
    line = {"id": "n1", "codes": [CODE, CODE], "words": 1, "words_read": 2, "words_known": 3}
    assert [record[name] for record in flat(line)] == [line[name]] * 2
