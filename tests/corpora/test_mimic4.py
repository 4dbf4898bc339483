"""MIMIC-IV: two versions of ICD in one table, codes padded with blanks."""

from __future__ import annotations

import pytest

from medcode import corpora
from medcode.config.corpora.mimic4 import Options
from medcode.errors import UserError

ALL = Options(systems=["icd9cm", "icd9proc", "icd10cm", "icd10pcs"])
NOTES = "note_id subject_id hadm_id note_type note_seq charttime storetime text"
CODES = "subject_id hadm_id seq_num icd_code icd_version"
DIAGNOSES = [[1, 11, 1, "4019   ", 9], [2, 21, 1, "I10    ", 10], [2, 21, 2, "E119", 10], [2, 21, 3, "E119   ", 10]]
PROCEDURES = [[1, 11, 1, "0331", 9], [2, 21, 1, "0DTJ4ZZ", 10]]


@pytest.fixture
def folder(tmp_path, write_csv):
    notes = [
        ["1-DS-1", 1, 11, "DS", 1, "", "", "first"],
        ["2-DS-1", 2, 21, "DS", 1, "", "", "second"],
        ["3-DS-1", 3, "", "DS", 1, "", "", "nowhere"],
    ]
    write_csv(tmp_path / "note" / "discharge.csv.gz", NOTES, notes)
    write_csv(tmp_path / "hosp" / "diagnoses_icd.csv.gz", CODES, DIAGNOSES)
    write_csv(tmp_path / "hosp" / "procedures_icd.csv", CODES, PROCEDURES)
    return tmp_path


def codes_of(extraction) -> list[tuple[str, str, str]]:
    return [tuple(row.values()) for row in extraction.codes.to_pylist()]


def test_both_versions_are_read(folder):
    read = corpora.read("mimic4", folder, ALL)
    assert codes_of(read) == [
        ("11", "icd9cm", "401.9"),
        ("21", "icd10cm", "I10"),
        ("21", "icd10cm", "E11.9"),
        ("11", "icd9proc", "03.31"),
        ("21", "icd10pcs", "0DTJ4ZZ"),
    ]
    assert read.notes.table()["text"].to_pylist() == ["first", "second"]
    assert read.counts["dropped"]["codes_duplicate"] == 1
    assert read.counts["dropped"]["notes_without_admission"] == 1


def test_spans_of_a_table_are_read(folder, write_csv):
    rows = [[21, 0, "icd10cm", "E119", 0, 3], [11, 0, "icd9proc", "0331", 1, 5], [31, 0, "icd9cm", "4019", 0, 1]]
    write_csv(folder / "note" / "spans.csv.gz", "hadm_id note system code start end", rows)
    assert [tuple(row.values()) for row in corpora.read("mimic4", folder, ALL).spans.to_pylist()] == [
        ("21", "icd10cm", "E11.9", 0, 0, 3),
        ("11", "icd9proc", "03.31", 0, 1, 5),
    ]


def test_codes_of_the_edition_of_2026_with_two_letters_have_a_usual_form(folder, write_csv):
    write_csv(folder / "hosp" / "diagnoses_icd.csv.gz", CODES, [[2, 21, 1, "QA00109", 10], [2, 21, 2, "qa00102", 10]])
    read = corpora.read("mimic4", folder, ALL)
    assert codes_of(read)[:2] == [("21", "icd10cm", "QA0.0109"), ("21", "icd10cm", "QA0.0102")]
    assert read.counts["codes_of_unusual_form"] == 0


def test_a_single_system_can_be_read(folder):
    (folder / "hosp" / "procedures_icd.csv").unlink()
    read = corpora.read("mimic4", folder, Options(systems=["icd10cm"]))
    assert codes_of(read) == [("21", "icd10cm", "I10"), ("21", "icd10cm", "E11.9")]
    assert read.counts["admissions_with_notes_without_codes"] == 1


def test_a_flat_folder_gives_the_same_corpus(folder, tmp_path_factory):
    flat = tmp_path_factory.mktemp("flat")
    for path in folder.glob("*/*.csv*"):
        (flat / path.name.upper()).write_bytes(path.read_bytes())
    assert codes_of(corpora.read("mimic4", flat, ALL)) == codes_of(corpora.read("mimic4", folder, ALL))


def test_a_version_that_is_neither_9_nor_10_is_an_error(folder, write_csv):
    write_csv(folder / "hosp" / "diagnoses_icd.csv.gz", CODES, [[1, 11, 1, "4019", 9], [1, 11, 2, "4019", 8]])
    with pytest.raises(UserError, match=r"diagnoses_icd\.csv\.gz: row 2: ICD_VERSION must be 9 or 10"):
        corpora.read("mimic4", folder, ALL)


def test_a_missing_table_is_named_with_both_places(folder):
    (folder / "note" / "discharge.csv.gz").unlink()
    with pytest.raises(UserError, match=r"note or .*: there is no discharge\.csv\.gz and no discharge\.csv"):
        corpora.read("mimic4", folder, ALL)
