"""Rows of every format: their texts and ids, what of them cannot be read, and files that are no tables."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medcode import table_files
from medcode.bulk.rows import FORMATS, Columns, Row
from medcode.errors import UserError

TEXTS = ["fever, \"chills\"\nand 'cough'", "\ufeffodd \u2028 İ \U0001f600 ﬁ\r\n;\t\\", "pain", "  "]
TEXT = Columns()
SECRET = "fever of unknown origin"


def written(path, values: list[tuple], names: tuple[str, ...] = ("name", "text")):
    """Write a table in the format of the path's ending."""
    opened = gzip.open if path.name.endswith(".gz") else open
    if ".jsonl" in path.name:
        with opened(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in values)
    elif ".csv" in path.name:
        with opened(path, "wt", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([names, *values])
    else:
        pq.write_table(pa.table(dict(zip(names, zip(*values, strict=True), strict=True))), path)
    return path


def read(path, columns: Columns = TEXT) -> list[Row]:
    ending = next(ending for ending in sorted(FORMATS, key=len, reverse=True) if path.name.endswith(ending))
    FORMATS[ending].check(path, columns)
    return list(FORMATS[ending].rows(path, columns))


every_table = pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz", "a.csv.gz"])


@every_table
def test_texts_and_ids_are_read_as_they_are(tmp_path, name):
    path = written(tmp_path / name, [(f"n{number}", text) for number, text in enumerate(TEXTS)])
    found = read(path, Columns("text", "name"))
    assert [row.text for row in found] == TEXTS
    assert [row.id for row in found] == ["n0", "n1", "n2", "n3"]
    assert [row.place for row in found] == [f"{path}:{number}" for number in (1, 2, 3, 4)]
    assert [row.id for row in read(path)] == [row.place for row in found]  # without a column of ids


@every_table
def test_a_table_without_rows_has_none(tmp_path, name):
    path = written(tmp_path / name, [("a", "b")])
    if "parquet" in name:
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    else:
        opened = gzip.open if name.endswith(".gz") else open
        with opened(path, "wt") as file:
            file.write("" if "jsonl" in name else "name,text\n")
    assert read(path) == []


@every_table
def test_a_missing_column_is_refused_with_the_nearest(tmp_path, name):
    path = written(tmp_path / name, [("a", SECRET)], ("note_id", "note"))
    with pytest.raises(UserError, match=r"has no 'nota' among its .*--text-column.*did you mean 'note'") as mistake:
        read(path, Columns("nota"))
    assert SECRET not in str(mistake.value)
    with pytest.raises(UserError, match=r"has no 'id' among its .*--id-column"):
        read(path, Columns("note", "id"))


def test_ids_may_be_whole_numbers_and_come_twice(tmp_path):
    for name in ("a.jsonl", "a.parquet"):
        found = read(written(tmp_path / name, [(7, "a"), (7, "b"), (-1, "c")]), Columns("text", "name"))
        assert [row.id for row in found] == ["7", "7", "-1"]


def reasons(found: list[Row]) -> list[str | None]:
    assert all((row.text is None) == (row.reason is not None) for row in found)
    assert SECRET not in repr([row._replace(text=None) for row in found])
    return [row.reason for row in found]


def test_lines_of_json_that_cannot_be_read_have_reasons(tmp_path):
    lines = [
        b'{"name": "a", "text": "fever"}', b"", b"{" + SECRET.encode(), b'["' + SECRET.encode() + b'"]', b"\xff\xfe",
        b'{"name": "b"}', b'{"name": "c", "text": null}', b'{"name": "d", "text": 5}', b'{"text": "x"}',
        b'{"name": 1.5, "text": "x"}', b'{"name": "\\ud800", "text": "x"}', b'{"name": true, "text": "x"}',
        b"[" * 100_000,
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    found = read(tmp_path / "a.jsonl", Columns("text", "name"))
    whole = "the id is neither text nor a whole number"
    assert reasons(found) == [
        None, "not JSON", "not a JSON object", "not UTF-8 text", "no text", "no text", "the text is not a string",
        "no id", whole, None, whole, "not JSON",
    ]  # fmt: skip
    assert [row.id for row in found[4:7]] == ["b", "c", "d"]
    assert found[1].place.endswith(":3") and found[9].id == "\\ud800"


def test_rows_of_csv_that_cannot_be_read_have_reasons(tmp_path):
    content = f'\ufeffname,text\na,fever\n\nb\nc,{SECRET},d\n,x\n"e","two\nlines"\n'.encode() + b"f,\xff\n"
    (tmp_path / "a.csv").write_bytes(content)
    found = read(tmp_path / "a.csv", Columns("text", "name"))
    assert reasons(found)[:5] == [
        None,
        "has 1 fields, the header has 2",
        "has 3 fields, the header has 2",
        "no id",
        None,
    ]
    assert found[4].text == "two\nlines" and found[5].text == "\udcff"  # which no model reads


def test_values_of_parquet_that_cannot_be_read_have_reasons(tmp_path):
    text = pa.array([b"fever", None, b"\xff" + SECRET.encode(), b"x", b"y"], pa.binary()).view(pa.string())
    for kind in (text, text.cast(pa.large_string(), safe=False), text.dictionary_encode()):
        pq.write_table(pa.table({"text": kind, "name": ["a", "b", "c", None, ""]}), tmp_path / "a.parquet")
        found = read(tmp_path / "a.parquet", Columns("text", "name"))
        assert reasons(found) == [None, "no text", "not UTF-8 text", "no id", "no id"]
        assert [row.id for row in found] == ["a", "b", "c", None, None]


def test_a_text_file_is_one_note(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbffever\r\nchills")
    (tmp_path / "b.txt").write_bytes(b"fever \xff chills")
    assert read(tmp_path / "a.txt") == [Row(str(tmp_path / "a.txt"), str(tmp_path / "a.txt"), "fever\r\nchills")]
    assert reasons(read(tmp_path / "b.txt")) == ["not UTF-8 text (byte 7)"]
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"pain", mtime=0))
    assert read(tmp_path / "c.txt.gz")[0].text == "pain"


@pytest.fixture
def short_fields(monkeypatch):
    """Shorten the longest field of CSV files, and give the process its own limit back."""
    limit = csv.field_size_limit()
    monkeypatch.setattr(table_files, "LONGEST_FIELD", 100)
    yield
    csv.field_size_limit(limit)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty; its first line must name the columns"),
        ("a.csv", "name,text\na,b\n".encode("utf-16"), "not UTF-8 text .*iconv"),
        ("a.csv", "name,text\na,b\n".encode("utf-16-le"), "not UTF-8 text .*iconv"),
        ("a.jsonl", '{"text": "fever"}\n'.encode("utf-16-le"), "not UTF-8 text .*iconv"),
        ("a.parquet", b"text", "not a parquet table"),
        ("a.parquet", b"", "not a parquet table"),
        ("a.jsonl.gz", b"text", "cut off or damaged"),
        ("a.csv.gz", gzip.compress(b"name,text\n" + b"a,b\n" * 99, mtime=0)[:-20], "cut off or damaged"),
        ("a.csv", b'text\n"' + b"fever " * 40, "line 2: not valid CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, short_fields, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as mistake:
        read(tmp_path / name)
    text = str(mistake.value)
    assert text.startswith(str(tmp_path / name)) and "\n" not in text and "fever" not in text


def test_a_column_that_is_no_text_is_refused(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="column 'text' has the type int64, not string"):
        read(tmp_path / "a.parquet")


def test_a_damaged_page_of_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"fever {number}" * 50 for number in range(2000)]}), path)
    content = bytearray(path.read_bytes())
    content[100:4000] = bytes(3900)
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged behind row 0"):
        read(path)


def test_a_missing_file_is_refused(tmp_path):
    for name in ("a.txt", "a.jsonl", "a.csv", "a.parquet"):
        with pytest.raises(UserError, match="cannot be read \\(No such file"):
            read(tmp_path / name)
