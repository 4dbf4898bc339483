"""Your own tables: what of them is read, and one line for each mistake, with file, row and column and without text."""

from __future__ import annotations

import csv
import datetime
import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode import config, corpora
from medcode.config.corpora.table import Options
from medcode.errors import UserError

SECRET = "lives at the harbor"
ALL = ["icd9cm", "icd9proc", "icd10cm", "icd10pcs", "icdo3"]
OF_CODES = {"file": "codes.csv", "code": "code", "system": "system"}
BASE = {
    "notes": "notes.csv", "admission": "adm", "text": "text", "patient": "none", "date": "none", "split": "none",
    "codes": [OF_CODES], "systems": ALL,
}  # fmt: skip
NOTES = [("adm", "text"), ("007", f"{SECRET} 1"), ("7", f"{SECRET} 2")]
CODES = [("adm", "system", "code"), ("007", "icd10cm", "E11.9"), ("7", "ICD-10-PCS", "0dtj4zz")]


def write(path, rows):
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def read(folder, note_rows=NOTES, code_rows=CODES, **changes):
    """Write the tables, where there are rows for them, and read the corpus."""
    for name, rows in (("notes.csv", note_rows), ("codes.csv", code_rows)):
        if rows is not None:
            write(folder / name, rows)
    return corpora.read("table", folder, Options.model_validate(BASE | changes))


def codes_of(extraction):
    return [tuple(row.values()) for row in extraction.codes.to_pylist()]


def test_notes_and_codes_of_two_tables(tmp_path):
    found = read(tmp_path)
    assert found.notes.table().to_pylist() == [
        {"admission_id": "007", "patient_id": "007", "text": f"{SECRET} 1", "split": None},
        {"admission_id": "7", "patient_id": "7", "text": f"{SECRET} 2", "split": None},
    ]
    assert codes_of(found) == [("007", "icd10cm", "E11.9"), ("7", "icd10pcs", "0DTJ4ZZ")]


def test_codes_in_columns_of_the_notes(tmp_path):
    notes = [
        ("adm", "text", "dx", "px"),
        ("1", "a", "E11.9; I10;", ""),
        ("2", "b", " ", "0DTJ4ZZ"),
        ("1", "c", "I10", ""),
    ]
    columns = [
        {"file": "notes.csv", "code": code, "system": system}
        for code, system in (("dx", "icd10cm"), ("px", "icd10pcs"))
    ]
    found = read(tmp_path, notes, None, codes=columns)
    assert codes_of(found) == [("1", "icd10cm", "E11.9"), ("1", "icd10cm", "I10"), ("2", "icd10pcs", "0DTJ4ZZ")]
    assert found.notes.table()["text"].to_pylist() == ["a\nc", "b"]
    assert (found.counts["dropped"]["fields_without_code"], found.counts["dropped"]["codes_duplicate"]) == (3, 1)


def test_several_tables_of_codes_with_names_of_their_own(tmp_path):
    write(tmp_path / "dx.csv.gz", [("HADM", "ICD"), ("7", "e119|I10")])
    pq.write_table(pa.table({"adm": [7], "px": [["0331"]]}), tmp_path / "px.parquet")
    columns = [
        {"file": "dx.csv.gz", "code": "ICD", "system": "icd10cm", "admission": "HADM", "separator": "|"},
        {"file": "px.parquet", "code": "px", "system": "icd9proc"},
    ]
    found = read(tmp_path, NOTES, None, codes=columns)
    assert codes_of(found) == [("7", "icd9proc", "03.31"), ("7", "icd10cm", "E11.9"), ("7", "icd10cm", "I10")]


def test_notes_of_an_admission_are_in_the_order_of_dates_then_of_the_file(tmp_path):
    rows = [
        ("1", "c", "2180-05-08"),
        ("2", "x", "2180-01-01"),
        ("1", "a", "2180-05-07 09:00"),
        ("1", "b", "2180-05-07T09:00"),
    ]
    found = read(tmp_path, [("adm", "text", "on"), *rows], [CODES[0], ("1", "icd10cm", "I10")], date="on")
    assert found.notes.table()["text"].to_pylist() == ["a\nb\nc", "x"]
    unordered = read(tmp_path, None, None)
    assert unordered.notes.table()["text"].to_pylist() == ["c\na\nb", "x"]


def test_patients_and_splits(tmp_path):
    notes = [
        ("adm", "text", "who", "part"),
        ("1", "a", "007", "train"),
        ("2", "b", "007", "test"),
        ("3", "c", "8", "background"),
    ]
    found = read(tmp_path, notes, [CODES[0], ("1", "icd10cm", "I10")], patient="who", split="part").notes.table()
    assert found["patient_id"].to_pylist() == ["007", "007", "8"]
    assert found["split"].to_pylist() == ["train", "test", "background"]


@pytest.mark.parametrize("ids", [["007", "7"], [7, 8]])
def test_parquet_keeps_its_types(tmp_path, ids):
    days = [datetime.date(2180, 5, 7), datetime.date(2180, 5, 6)]
    table = {"adm": ids, "text": pa.array(["a", "b"], pa.large_string()), "on": days, "dx": [["I10", "E11.9"], None]}
    pq.write_table(pa.table(table), tmp_path / "n.parquet")
    columns = [{"file": "n.parquet", "code": "dx", "system": "icd10cm"}]
    found = read(tmp_path, None, None, notes="n.parquet", date="on", codes=columns)
    assert found.notes.admissions == [str(id_) for id_ in ids]
    assert [code for *_, code in codes_of(found)] == ["I10", "E11.9"]


def test_codes_of_admissions_without_a_note_are_counted_and_told(tmp_path):
    found = read(tmp_path, code_rows=[*CODES, ("8", "icd10cm", "I10;I50.9"), ("9", "icd9cm", "401.9")])
    assert found.counts["dropped"]["codes_without_note"] == 3
    assert found.remarks == ("table: 3 codes of admissions without a note are left out",)
    assert [admission for admission, *_ in codes_of(found)] == ["007", "7"]


def test_blank_rows_and_codes_of_other_systems_are_counted(tmp_path):
    codes = [*CODES, ("", "", ""), ("7", "icd9cm", " ")]
    found = read(tmp_path, [*NOTES, ("", " ")], codes, systems=["icd10cm"])
    dropped = found.counts["dropped"]
    assert (dropped["rows_blank"], dropped["fields_without_code"], dropped["codes_of_other_systems"]) == (1, 2, 1)
    assert found.counts["rows"]["notes"] == 3 and found.counts["notes"] == 2


DATED = [("adm", "text", "x")]
MISTAKES = {
    "no notes": ({"note_rows": None}, r"notes\.csv: no such file; .* params\.yaml: corpora\.table\.notes$"),
    "no codes": ({"code_rows": None}, r"codes\.csv: no such file; .* params\.yaml: corpora\.table\.codes\.0\.file$"),
    "no column": (
        {"text": "txt"},
        r"notes\.csv: has no 'txt' among its columns \(corpora\.table\.text\); did you mean 'text'",
    ),
    "no header": ({"note_rows": [("1", SECRET)]}, r"has no 'adm' .*; its columns are not listed, .* a header\?"),
    "empty": ({"note_rows": []}, r"notes\.csv: empty; its first line must name the columns"),
    "a column twice": (
        {"note_rows": [("adm", "adm", "text")]},
        r"has 'adm' twice among its columns \(corpora\.table\.admission\)",
    ),
    "no rows": ({"note_rows": NOTES[:1], "code_rows": CODES[:1]}, "the corpus is empty"),
    "no code": ({"code_rows": CODES[:1]}, "no admission with a note has a code"),
    "semicolons": ({"note_rows": [("adm;text",), ("1;a",)]}, r"has no 'adm' among .*; its fields seem .* semicolons"),
    "tabs": ({"note_rows": [("adm\ttext",), (f"1\t{SECRET}",)]}, r"its fields seem to stand between tabs; export it"),
    "sep=": ({"note_rows": [("sep=;",), ("adm;text",), (f"1;{SECRET}",)]}, r"its first line .* Excel .*; remove it"),
    "blanks in the header": (
        {"note_rows": [("adm", " text"), *NOTES[1:]]},
        r"has no 'text' among .*; there is one with blanks around it",
    ),
    "fields": ({"note_rows": [*NOTES, ("8", SECRET, "c")]}, r"notes\.csv: row 3: has 3 fields, the header has 2"),
    "no id": (
        {"note_rows": [*NOTES, (" ", SECRET)]},
        r"notes\.csv: row 3: column 'adm' is empty or holds a control character",
    ),
    "an id of two lines": (
        {"note_rows": [*NOTES, (f"{SECRET}\n", SECRET), (f"{SECRET}\nx", "a")]},
        r"row 4: column 'adm' is empty or",
    ),
    "no text": ({"note_rows": [*NOTES, ("8", " ")]}, r"row 3: column 'text': the note has no text; remove the row"),
    "a note twice": ({"note_rows": [*NOTES, NOTES[1]]}, r"row 3: the same note of admission 007 as row 1; remove one"),
    "two patients": (
        {"note_rows": [("adm", "text", "x"), ("1", "a", "4"), ("1", "b", "5")], "patient": "x"},
        r"notes\.csv: row 2: admission 1 has another patient or split in a row before",
    ),
    "no patient": (
        {"note_rows": [("adm", "text", "x"), ("1", "a", "")], "patient": "x"},
        r"row 1: column 'x' is empty",
    ),
    "two splits": (
        {"note_rows": [*DATED, ("1", "a", "dev"), ("1", "b", "test")], "split": "x"},
        "row 2: admission 1 has another",
    ),
    "a wrong split": (
        {"note_rows": [*DATED, ("1", "a", "tests")], "split": "x"},
        r"row 1: column 'x': none of train, .*'test'",
    ),
    "a wrong date": (
        {"note_rows": [*DATED, ("1", "a", SECRET)], "date": "x"},
        r"row 1: column 'x': not a date; write it as 2180-05-07",
    ),
    "no date": (
        {"note_rows": [*DATED, ("1", "a", "")], "date": "x"},
        r"row 1: column 'x': there is no date; .* corpora\.table\.date: none",
    ),
    "zones": (
        {"note_rows": [*DATED, ("1", "a", "2180-05-07"), ("1", "b", "2180-05-07T09:00Z")], "date": "x"},
        "row 2: column 'x': some dates of the admission have a time zone, others not",
    ),
    "an id as number": (
        {"code_rows": [*CODES, ("7.0", "icd10cm", "I10")]},
        r"codes\.csv: row 3: column 'adm': there is no note of admission 7\.0, but of 7: a program took",
    ),
    "an id without zeros": (
        {"note_rows": NOTES[:2], "code_rows": [CODES[0], ("00007", "icd10cm", "I10")]},
        r"row 1: .* no note of admission 00007, but of 007: a program",
    ),
    "no id of a code": ({"code_rows": [*CODES, ("", "icd10cm", "I10")]}, r"codes\.csv: row 3: column 'adm' is empty"),
    "a wrong system": (
        {"code_rows": [*CODES, ("7", SECRET, "I10")]},
        r"row 3: column 'system': unknown code system; valid: icd9cm, ",
    ),
    "a wrong code": (
        {"code_rows": [*CODES, ("7", "icd9proc", "3.31")]},
        r"row 3: column 'code': not a code of icd9proc \(such as 03\.31",
    ),
    "text as code": (
        {"code_rows": [*CODES, ("7", "icd10cm", SECRET)]},
        r"row 3: column 'code': not a code of icd10cm \(such as E11\.9; several",
    ),
    "no such system or column": (
        {"code_rows": CODES, "codes": [{**OF_CODES, "system": "icd10"}]},
        r"has no 'icd10' .*one of icd9cm, ",
    ),
    "a background note": (
        {"note_rows": [*DATED, ("7", "a", "background")], "code_rows": CODES[::2], "split": "x"},
        "row 1: .*a background note has no codes",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_without_text(tmp_path, name):
    changes, message = MISTAKES[name]
    with pytest.raises(UserError, match=message) as mistake:
        read(tmp_path, **changes)
    for line in mistake.value.args:
        assert line.startswith(str(tmp_path)) and "\n" not in line and SECRET not in line
    assert len(mistake.value.args) == (2 if name in ("no header", "semicolons", "tabs", "sep=") else 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"adm,t\xe9xt\n1,a\n", r"has no 'text' among .*; the header is not UTF-8 text; save the table as UTF-8"),
        (b"adm,text\n1,\xe9t\xe9\n", "row 1: column 'text': not UTF-8 text; save the table as UTF-8"),
        ("adm,text\n1,a\n".encode("utf-16"), "not UTF-8 text .*iconv"),
        (b'adm,text\n7,"a\n8,b\n', r"notes\.csv: line 3: not valid CSV \(unexpected end of data\)"),
        (b'adm,text\n7,"a" b\n', r"notes\.csv: line 2: not valid CSV"),
    ],
)
def test_bytes_of_another_encoding_are_refused(tmp_path, content, message):
    (tmp_path / "notes.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path, None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"adm": [7.0, 8.0], "text": ["a", "b"]},
            r"n\.parquet: row 1: column 'adm' must be a string or a whole number",
        ),
        ({"adm": ["1", None], "text": ["a", "b"]}, r"n\.parquet: row 2: column 'adm' is empty"),
        ({"adm": ["7", "8"], "text": [1, 2]}, r"row 1: column 'text': expected text"),
        ({"adm": ["7", "8"], "text": ["a", None]}, r"row 2: column 'text': the note has no text"),
    ],
)
def test_values_of_other_types_are_refused(tmp_path, table, message):
    pd.DataFrame(table).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(UserError, match=message):
        read(tmp_path, None, notes="n.parquet")


def test_codes_that_are_numbers_are_refused(tmp_path):
    pq.write_table(pa.table({"adm": ["7"], "code": [250.0]}), tmp_path / "c.parquet")
    columns = [{"file": "c.parquet", "code": "code", "system": "icd9cm"}]
    with pytest.raises(UserError, match=r"c\.parquet: row 1: column 'code': a code must be text: a number loses"):
        read(tmp_path, NOTES, None, codes=columns)
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"c\.parquet: not a parquet table"):
        read(tmp_path, NOTES, None, codes=columns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"notes": "notes.xlsx"},
            r"corpora\.table\.notes: expected the name of a file that ends in \.csv, \.csv\.gz, ",
        ),
        ({"notes": "../notes.csv"}, r"corpora\.table\.notes: expected a file within the folder of the corpus"),
        ({"codes": []}, r"corpora\.table\.codes: List should have at least 1 item"),
        ({"codes": [{**OF_CODES, "sistem": "a"}]}, r"corpora\.table\.codes\.0\.sistem: unknown key"),
        ({"codes": [{"file": "a.csv", "code": "c"}]}, r"corpora\.table\.codes\.0\.system: missing"),
        ({"patient": "text"}, r"corpora\.table: patient: 'text' is the column of the text$"),
        (
            {"codes": [{**OF_CODES, "file": "notes.csv", "code": "text"}]},
            r"codes\.0\.code: 'text' is the column of the text$",
        ),
        ({"systems": ["icd10"]}, r"corpora\.table\.systems\.0: Input should be 'icd9cm'"),
    ],
)
def test_options_are_checked_before_anything_runs(changes, message):
    with pytest.raises(UserError, match=message):
        config.build(Options, BASE | changes, "params.yaml", "corpora.table")
