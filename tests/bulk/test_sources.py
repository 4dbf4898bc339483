"""Which files are read, in which order, and how the stream of rows goes on in the middle."""

from __future__ import annotations

import itertools
import json
import os

import pytest

from medcode.bulk.rows import Columns
from medcode.bulk.sources import Position, Sources, ending_of, is_many
from medcode.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Files of one to three notes, and others."""
    for name in ("b.txt", "a/z.txt", "a/y.TXT", ".hidden/c.txt", ".d.txt", "readme.md", "scan.pdf"):
        (tmp_path / "notes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "notes" / name).write_text(name)
    lines = "".join(json.dumps({"text": f"line {number}"}) + "\n" for number in range(3))
    (tmp_path / "notes" / "c.jsonl").write_text(lines)
    return tmp_path / "notes"


START = Position()


def texts(sources: Sources, start: Position = START) -> list[str | None]:
    return [row.text for row, _ in sources.rows(start)]


def test_a_folder_is_read_by_name_and_other_files_are_counted(folder, capsys):
    sources = Sources([str(folder)], Columns())
    assert texts(sources) == ["a/y.TXT", "a/z.txt", "b.txt", "line 0", "line 1", "line 2"]
    assert capsys.readouterr().err == f"note: {folder}: 2 files with other endings are left out\n"


def test_files_are_read_in_the_order_that_is_given_and_have_any_ending(folder):
    names = [str(folder / name) for name in ("c.jsonl", "readme.md", "b.txt", "readme.md")]
    sources = Sources(names, Columns())
    assert texts(sources) == ["line 0", "line 1", "line 2", "readme.md", "b.txt", "readme.md"]
    assert sources.count() is None and Sources(names[1:], Columns()).count() == 3


def test_the_stream_goes_on_behind_every_position(folder):
    sources = Sources([str(folder), str(folder / "c.jsonl")], Columns())
    rows = list(sources.rows(Position()))
    assert len(rows) == 9
    for number, (_, position) in enumerate(rows, start=1):
        assert list(sources.rows(position)) == rows[number:]
    assert len({position for _, position in rows}) == 9


def test_one_plain_file_is_one_note(folder):
    for names in (["-"], [str(folder / "b.txt")], [str(folder / "readme.md")], ["nowhere"]):
        assert not is_many(names)
    for names in ([str(folder)], ["a.txt", "b.txt"], ["a.jsonl"], ["a.CSV.gz"], ["a.parquet"]):
        assert is_many(names)
    assert ending_of(folder / "x.tar.gz") is None


def test_changed_files_have_another_fingerprint(folder):
    names = [str(folder / "b.txt"), str(folder / "c.jsonl")]
    first = Sources(names, Columns()).fingerprint()
    assert first == Sources(names, Columns()).fingerprint() != Sources(names[::-1], Columns()).fingerprint()
    status = (folder / "b.txt").stat()
    os.utime(folder / "b.txt", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert Sources(names, Columns()).fingerprint() != first


def test_what_holds_no_notes_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("empty", "holds no notes, which are files that end in .jsonl"),
        ("none", "no such file"),
    ):
        with pytest.raises(UserError, match=f"{tmp_path / name}: {message}"):
            Sources([str(folder), str(tmp_path / name)], Columns())


def test_every_table_is_checked_before_the_first_is_read(folder):
    (folder / "d.csv").write_text("note\nfever\n")
    with pytest.raises(UserError, match=r"d\.csv: has no 'text'"):
        Sources([str(folder)], Columns())


def test_a_file_that_vanishes_is_one_line(folder):
    sources = Sources([str(folder / "b.txt"), str(folder / "c.jsonl")], Columns())
    (folder / "c.jsonl").unlink()
    assert len(list(itertools.islice(sources.rows(Position()), 1))) == 1
    for work in (lambda: texts(sources), sources.fingerprint):
        with pytest.raises(UserError, match=r"c\.jsonl: cannot be read"):
            work()
