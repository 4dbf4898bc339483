"""Ids are text by one rule, wherever they are read."""

from __future__ import annotations

import csv
import gzip
import json

import pandas as pd
import pytest

from medcode import corpora
from medcode.bulk.rows import FORMATS, Columns
from medcode.config import corpora as option_classes
from medcode.errors import UserError
from medcode.identifiers import identifier, present, whole_numbers

# As they stand, and as they are read.
IDS = {"007": "007", "7": "7", "7.0": "7.0", " a b ": "a b", "1e3": "1e3", "NaN": "NaN", "NULL": "NULL"}


def test_text_stays_and_whole_numbers_become_digits():
    assert {text: identifier(text) for text in IDS} == IDS
    assert [identifier(value) for value in (7, -1, 2**70, None, "", " ")] == ["7", "-1", str(2**70), "", "", ""]
    for value in (7.0, True, b"7", ["7"], float("nan")):
        with pytest.raises(UserError, match="neither text nor a whole number"):
            identifier(value)
        with pytest.raises(UserError, match=r"^'id' must be a string or a whole number$"):
            present(value, "'id'")
    for value in (None, "", "\t", "a\nb", "a\x00", "\ud800"):
        with pytest.raises(UserError, match=r"^'id' is empty or holds a control character$"):
            present(value, "'id'")


def test_ids_of_mimic_are_whole_numbers():
    column = pd.Series(["17.0", " 17 ", "", "17", "170"], dtype="str", index=[3, 4, 5, 6, 7])
    assert whole_numbers(column).to_dict() == {3: "17", 4: "17", 5: "", 6: "17", 7: "170"}
    assert whole_numbers(column[:0]).empty


def test_codes_and_spans_of_mimic_belong_to_the_note_however_its_id_is_written(tmp_path):
    tables = {
        "NOTEEVENTS": [
            ("SUBJECT_ID", "HADM_ID", "CATEGORY", "ISERROR", "TEXT"), ("4", "17.0", "Discharge summary", "", "Fever."),
        ],
        "DIAGNOSES_ICD": [("HADM_ID", "ICD9_CODE"), ("17", "4019")],
        "PROCEDURES_ICD": [("HADM_ID", "ICD9_CODE"), (" 17", "0331")],
        "SPANS": [("HADM_ID", "NOTE", "SYSTEM", "CODE", "START", "END"), ("17.0", "0", "icd9cm", "4019", "0", "5")],
    }  # fmt: skip
    for name, rows in tables.items():
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt", newline="") as file:
            csv.writer(file).writerows(rows)
    options = option_classes.find("mimic3")(systems=["icd9cm", "icd9proc"])
    read = corpora.read("mimic3", tmp_path, options)
    assert read.notes.admissions == ["17"] and read.spans["admission_id"].to_pylist() == ["17"]
    assert read.codes["admission_id"].to_pylist() == ["17", "17"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_rows_to_predict_have_their_ids_as_text(tmp_path, ending):
    path = tmp_path / f"notes{ending}"
    with open(path, "w", newline="") as file:
        if ending == ".csv":
            csv.writer(file).writerows([("name", "text"), *((name, "Fever.") for name in IDS), (" ", "Fever.")])
        else:
            file.writelines(json.dumps({"name": name, "text": "Fever."}) + "\n" for name in (*IDS, " "))
    rows = list(FORMATS[ending].rows(path, Columns("text", "name")))
    assert [row.id for row in rows] == [*IDS.values(), None]
    assert rows[-1].reason == "no id"
