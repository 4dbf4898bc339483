"""Tables: errors in a file are reported in one line that contains none of its text."""

from __future__ import annotations

import gzip

import pytest

from medcode.corpora import tables
from medcode.errors import UserError

SECRET = "the patient lives at"


def read(path) -> None:
    list(tables.chunks(path, ["hadm_id", "text"]))


def refused(path, pattern: str) -> None:
    with pytest.raises(UserError, match=pattern) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert SECRET not in message
    assert "\n" not in message


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv.gz"
    rows = "".join(f'{i},"{SECRET} {i}{i * 7919 % 1000003}"\n' for i in range(20_000))
    path.write_bytes(gzip.compress(b'"HADM_ID","TEXT"\n' + rows.encode()))
    return path


def test_a_truncated_gz_is_refused(table):
    table.write_bytes(table.read_bytes()[:-2000])
    refused(table, "cut off or damaged")


def test_a_damaged_gz_is_refused(table):
    content = bytearray(table.read_bytes())
    content[5000:5050] = bytes(50)
    table.write_bytes(content)
    refused(table, "cut off or damaged|not a whole CSV table")


def test_a_file_named_gz_that_is_not_gzip_is_refused(table):
    table.write_bytes(b'"HADM_ID","TEXT"\n1,"a"\n')
    refused(table, "cut off or damaged")


def test_a_csv_that_ends_within_a_note_is_refused(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv"
    path.write_text(f'HADM_ID,TEXT\n1,"{SECRET}\n')
    refused(path, "not a whole CSV table")


def test_a_row_with_too_many_fields_is_refused(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv"
    path.write_text(f"HADM_ID,TEXT\n1,a\n2,{SECRET},b,c\n")
    refused(path, "not a whole CSV table .*line 3, saw 4")
    path.write_text("HADM_ID,TEXT\n" + "1,a,b\n" * 3)
    refused(path, "not a whole CSV table .*line 2, saw 3")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv"
    path.touch()
    refused(path, "empty, not even a header")


def test_a_missing_column_names_the_nearest(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv"
    path.write_text("HADM_IDS,TEXT\n1,a\n")
    refused(path, "there is no column HADM_ID; did you mean 'hadm_ids'")


def test_a_duplicate_column_is_refused(tmp_path):
    path = tmp_path / "NOTEEVENTS.csv"
    path.write_text("HADM_ID,TEXT,text\n1,a,b\n")
    refused(path, "a column name comes twice")


def test_a_missing_table_names_both_spellings_and_the_place(tmp_path):
    with pytest.raises(UserError, match=r"there is no NOTEEVENTS\.csv\.gz and no NOTEEVENTS\.csv") as caught:
        tables.find(tmp_path, "NOTEEVENTS")
    assert str(tmp_path) in str(caught.value)


def test_values_are_read_unchanged_as_text(tmp_path):
    path = tmp_path / "T.csv"
    path.write_bytes(b'\xef\xbb\xbfText,"hadm_id"\r\n"NA, ""null""\r\n007",0010\r\n,\r\n')
    (chunk,) = tables.chunks(path, ["hadm_id", "text"])
    assert chunk.values.tolist() == [["0010", 'NA, "null"\r\n007'], ["", ""]]
