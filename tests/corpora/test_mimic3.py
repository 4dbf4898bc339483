"""MIMIC-III: notes are joined per admission, codes stay text, and dropped rows are counted."""

from __future__ import annotations

import gzip

import pytest

from medcode import corpora
from medcode.config.corpora.mimic3 import Options
from medcode.corpora import legacy_codes, mimic3, tables
from medcode.errors import UserError

BOTH = Options(systems=["icd9cm", "icd9proc"], legacy_codes=False)
NOTES = "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CATEGORY DESCRIPTION ISERROR TEXT"
CODES = "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE"

# (subject, admission, category, description, iserror, text)
ROWS = [
    (1, 11, "Discharge summary", "Report", "", 'Said "well",\nwent home.\n\nBP 120/80'),
    (1, 11, "Nursing", "Report", "", "slept"),
    (2, 21, "Discharge summary", "Report", "", "second patient"),
    (1, 11, "Discharge summary", "Addendum", "", "addendum"),
    (3, 31, "Discharge summary", "Report", "1", "wrong patient"),
    (4, "", "Discharge summary", "Report", "", "no admission"),
    (2, 22, "Discharge summary ", "Report", "", "never coded"),
]
DIAGNOSES = [(1, 11, "4019"), (1, 11, "0389"), (1, 11, "4019"), (2, 21, "E8788"), (2, 21, ""), (9, 91, "25000")]
PROCEDURES = [(1, 11, "0331"), (2, 21, "9390"), (2, 21, "3810")]


@pytest.fixture
def folder(tmp_path, write_csv):
    notes = [[i, s, h, "2150-01-01", c, d, e, t] for i, (s, h, c, d, e, t) in enumerate(ROWS)]
    write_csv(tmp_path / "NOTEEVENTS.csv.gz", NOTES, notes)
    for name, rows in (("DIAGNOSES_ICD", DIAGNOSES), ("PROCEDURES_ICD", PROCEDURES)):
        write_csv(tmp_path / f"{name}.csv", CODES, [[i, s, h, 1, c] for i, (s, h, c) in enumerate(rows)])
    return tmp_path


def test_notes_of_an_admission_are_joined_in_file_order(folder):
    notes = corpora.read("mimic3", folder, BOTH).notes.table().to_pylist()
    assert notes == [
        {
            "admission_id": "11",
            "patient_id": "1",
            "text": 'Said "well",\nwent home.\n\nBP 120/80\naddendum',
            "split": None,
        },
        {"admission_id": "21", "patient_id": "2", "text": "second patient", "split": None},
        {"admission_id": "22", "patient_id": "2", "text": "never coded", "split": None},
    ]


SPANS = "HADM_ID NOTE SYSTEM CODE START END"


def test_spans_of_a_table_move_to_the_joined_notes(folder, write_csv):
    rows = [[11, 1, "icd9cm", "0389", 0, 3], [11, 0, "icd9proc", "0331", 6, 10], [91, 0, "icd9cm", "25000", 0, 9]]
    write_csv(folder / "SPANS.csv.gz", SPANS, rows)
    read = corpora.read("mimic3", folder, BOTH)
    text = read.notes.table()["text"][0].as_py()
    assert [(row["code"], text[row["start"] : row["end"]]) for row in read.spans.to_pylist()] == [
        ("038.9", "add"),
        ("03.31", "well"),
    ]
    diagnoses = corpora.read("mimic3", folder, Options(systems=["icd9cm"], legacy_codes=False))
    assert diagnoses.spans["system"].to_pylist() == ["icd9cm"]
    # The papers' scripts make another code of 03.31, which has no evidence.
    legacy = corpora.read("mimic3", folder, Options(systems=["icd9cm", "icd9proc"], legacy_codes=True))
    assert legacy.counts["dropped"]["spans_of_other_codes"] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([11, 2, "icd9cm", "0389", 0, 3], "row 2: there is no note 2 of admission 11, which has 2"),
        ([11, 1, "icd9cm", "0389", 0, 30], "row 2: the span 0 to 30 is not within the note, which has 8 characters"),
        ([11, 1, "icd9cm", "0389", "", 3], "row 2: note, start and end must be whole numbers"),
        ([11, 1, "icd9cm", "0389", -1, 3], "row 2: note, start and end must be whole numbers"),
    ],
)
def test_a_mistake_in_a_span_names_its_row(folder, write_csv, row, message):
    write_csv(folder / "SPANS.csv", SPANS, [[11, 0, "icd9cm", "0389", 0, 3], row])
    with pytest.raises(UserError, match=rf"SPANS\.csv: {message}"):
        corpora.read("mimic3", folder, BOTH)


def test_mimic_itself_has_no_spans(folder):
    read = corpora.read("mimic3", folder, BOTH)
    assert read.spans.num_rows == 0 and read.counts["spans"] == {}


def test_codes_keep_their_zeros_and_come_once(folder):
    codes = corpora.read("mimic3", folder, BOTH).codes.to_pylist()
    assert [(row["admission_id"], row["system"], row["code"]) for row in codes] == [
        ("11", "icd9cm", "401.9"),
        ("11", "icd9cm", "038.9"),
        ("21", "icd9cm", "E878.8"),
        ("11", "icd9proc", "03.31"),
        ("21", "icd9proc", "93.90"),
        ("21", "icd9proc", "38.10"),
    ]


def test_dropped_rows_are_counted_by_reason(folder):
    counts = corpora.read("mimic3", folder, BOTH).counts
    assert counts["rows"] == {"notes": 7, "icd9cm": 6, "icd9proc": 3}
    assert counts["note_rows_by_category"] == {"Discharge summary": 6, "Nursing": 1}
    assert (counts["notes"], counts["admissions"], counts["patients"]) == (4, 3, 2)
    assert counts["admissions_with_notes_without_codes"] == 1
    assert counts["codes"]["icd9cm"] == {"assigned": 3, "distinct": 3}
    assert counts["dropped"] == {
        "notes_of_other_categories": 1,
        "notes_marked_as_errors": 1,
        "notes_without_admission": 1,
        "codes_empty": 1,
        "codes_of_admissions_without_note": 1,
        "codes_duplicate": 1,
        "spans_of_other_codes": 0,
        "span_parts_empty": 0,
    }


def test_the_result_does_not_depend_on_chunks_or_on_compression(folder, monkeypatch):
    whole = corpora.read("mimic3", folder, BOTH)
    compressed = folder / "NOTEEVENTS.csv.gz"
    (folder / "noteevents.csv").write_bytes(gzip.decompress(compressed.read_bytes()).replace(b"HADM_ID", b"hadm_id"))
    compressed.unlink()
    monkeypatch.setattr(tables.chunks, "__defaults__", (2,))
    again = corpora.read("mimic3", folder, BOTH)
    assert again.notes.table() == whole.notes.table()
    assert again.codes == whole.codes
    assert again.counts == whole.counts


def test_only_the_tables_of_the_chosen_systems_are_needed(folder):
    (folder / "PROCEDURES_ICD.csv").unlink()
    read = corpora.read("mimic3", folder, BOTH.model_copy(update={"systems": ["icd9cm"]}))
    assert set(read.codes["system"].to_pylist()) == {"icd9cm"}
    with pytest.raises(UserError, match=r"PROCEDURES_ICD\.csv\.gz and no PROCEDURES_ICD\.csv"):
        corpora.read("mimic3", folder, BOTH)


def test_codes_parsed_as_numbers_are_refused(folder, write_csv):
    write_csv(folder / "PROCEDURES_ICD.csv", CODES, [[1, 1, 11, 1, "331.0"]])
    with pytest.raises(UserError, match=r"PROCEDURES_ICD\.csv: a code holds a point"):
        corpora.read("mimic3", folder, BOTH)


def test_ids_parsed_as_numbers_are_cleaned(folder, write_csv):
    write_csv(folder / "DIAGNOSES_ICD.csv", CODES, [[1, 1, "11.0", 1, "4019"]])
    assert corpora.read("mimic3", folder, BOTH.model_copy(update={"systems": ["icd9cm"]})).codes[
        "admission_id"
    ].to_pylist() == ["11"]


def test_an_admission_with_two_patients_is_refused(folder, write_csv):
    rows = [[1, 1, 11, "", "Discharge summary", "", "", "secret"], [2, 2, 11, "", "Discharge summary", "", "", "words"]]
    write_csv(folder / "NOTEEVENTS.csv.gz", NOTES, rows)
    with pytest.raises(UserError, match="admission 11 belongs to two patients, 1 and 2"):
        corpora.read("mimic3", folder, BOTH)


def test_bytes_that_are_not_utf8_are_replaced_and_counted(folder):
    content = gzip.decompress((folder / "NOTEEVENTS.csv.gz").read_bytes()).replace(b"second", b"sec\xe9nd")
    (folder / "NOTEEVENTS.csv.gz").write_bytes(gzip.compress(content))
    read = corpora.read("mimic3", folder, BOTH)
    assert read.notes.table()["text"].to_pylist()[1] == "sec\ufffdnd patient"
    assert read.counts["notes_with_undecodable_bytes"] == 1


def test_unknown_note_categories_are_not_named_in_the_counts(folder, write_csv):
    rows = [[1, 1, 11, "", "patient said something", "", "", "a"], [2, 1, 11, "", "Discharge summary", "", "", "b"]]
    write_csv(folder / "NOTEEVENTS.csv.gz", NOTES, rows)
    counts = corpora.read("mimic3", folder, BOTH).counts
    assert counts["note_rows_by_category"] == {"Discharge summary": 1, "other": 1}


def test_the_open_demo(shared, tmp_path, write_csv):
    demo = shared / "corpora" / "mimic-iii-demo"
    with pytest.raises(UserError, match="the corpus is empty"):
        corpora.read("mimic3", demo, BOTH)
    admissions = set()
    for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD"):
        (tmp_path / f"{name}.csv").write_bytes((demo / f"{name}.csv").read_bytes())
        for chunk in tables.chunks(demo / f"{name}.csv", ["subject_id", "hadm_id"]):
            admissions |= set(chunk.itertuples(index=False, name=None))
    notes = [[i, s, h, "", "Discharge summary", "Report", "", "text"] for i, (s, h) in enumerate(sorted(admissions))]
    write_csv(tmp_path / "NOTEEVENTS.csv", NOTES.lower(), notes)
    counts = corpora.read("mimic3", tmp_path, BOTH).counts
    assert counts["rows"]["icd9cm"] == 1_761
    assert counts["rows"]["icd9proc"] == 506
    assert {system: row["distinct"] for system, row in counts["codes"].items()} == {"icd9cm": 581, "icd9proc": 164}
    assert counts["codes_of_unusual_form"] == 0
    assert (counts["admissions"], counts["patients"]) == (129, 100)


def test_legacy_codes_lose_their_zeros_and_split_in_two(folder, monkeypatch):
    """Four diagnoses and three procedures are left; in parts of five rows the last two procedures become floats."""
    monkeypatch.setattr(legacy_codes.read_again, "__defaults__", (5,))
    legacy = BOTH.model_copy(update={"legacy_codes": True})
    codes = [tuple(row.values()) for row in corpora.read("mimic3", folder, legacy).codes.to_pylist()]
    assert codes[-3:] == [("11", "icd9proc", "33.1"), ("21", "icd9proc", "93.9"), ("21", "icd9proc", "38.1")]
    assert [code for _, _, code in codes[:-3]] == ["401.9", "038.9", "E878.8"]


def test_note_categories_match_mimic():
    assert mimic3.CATEGORY in mimic3.CATEGORIES
    assert len(mimic3.CATEGORIES) == 15
