"""The two standard tables."""

from __future__ import annotations

import pandas as pd
import pytest

from medcode import io
from medcode.corpora.extraction import CODES, Codes, extraction
from medcode.corpora.notes import NOTES, Notes


@pytest.mark.parametrize("spooled", [False, True])
def test_scattered_notes_of_many_admissions_are_joined(tmp_path, spooled):
    with io.spool(tmp_path / "notes.parquet") as spool:
        check_joining(Notes("here", spool if spooled else None), tmp_path / "notes.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.parquet"]


def check_joining(notes, path):
    for part in ("first", "second"):
        for admission in range(2_500):
            notes.add(f"a{admission}", f"p{admission // 2}", f"{part} {admission}")
    assert (len(notes), notes.added, notes.patients) == (2_500, 5_000, 1_250)
    table = notes.table()
    assert table.schema == NOTES
    assert table["text"].to_pylist() == [f"first {i}\nsecond {i}" for i in range(2_500)]
    io.write_batches(path, notes.batches(), NOTES)
    assert io.read_table(path) == table


def test_codes_of_unusual_form_are_kept_and_counted():
    notes = Notes("here")
    notes.add("1", "1", "text")
    codes = Codes(notes.admissions)
    codes.add("icd9cm", pd.Series(["1"] * 3, dtype="str"), pd.Series(["4019", "40", "40"], dtype="str"), "table")
    read = extraction(notes, codes, note_rows=1)
    assert read.codes.schema == CODES
    assert read.codes["code"].to_pylist() == ["401.9", "40"]
    assert read.counts["codes_of_unusual_form"] == 2
