"""The errors of the papers' scripts, on small tables."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from medcode.corpora.legacy_codes import PART, read_again, read_as_numbers


def test_procedures_lose_their_leading_zeros():
    stored = ["0331", "3893", "9390", "0066", "0009", "66", "0000"]
    read = read_as_numbers(pd.Series(stored, dtype="str"))
    assert read.tolist() == ["331", "3893", "9390", "66", "9", "66", "0"]
    assert read.tolist() == pd.read_csv(io.StringIO("code\n" + "\n".join(stored)))["code"].astype(str).tolist()


def converted(codes: list[str], rows: int) -> list[str]:
    systems = ["icd9proc" if len(code.split(".")[0]) < 3 else "icd9cm" for code in codes]
    frame = pd.DataFrame({"admission_id": "1", "system": systems, "code": codes}, dtype="str")
    return read_again(frame, rows)["code"].tolist()


def test_numeric_parts_become_floats():
    codes = ["401.9", "V45.81", "250.00", "38.10", "93.90", "38.10", "66", "38.93", "33.1"]
    assert converted(codes, 4) == ["401.9", "V45.81", "250.00", "38.10", "93.9", "38.1", "66.0", "38.93", "33.1"]
    # One code with a letter keeps its whole part as text; a short last part counts as well.
    assert converted([*codes, "E878.8"], 4)[-2:] == ["33.1", "E878.8"]
    assert converted(["038.9", "250.00"], 4) == ["38.9", "250.0"]
    assert converted([], 4) == []


@pytest.mark.filterwarnings("ignore:Columns")  # that types are mixed is the point
@pytest.mark.parametrize("letters", [0, 1])
def test_part_size_equals_the_chunk_size_of_pandas(letters):
    """The size of a part equals that of pandas, for a table of five columns as the script wrote."""
    rows = PART * 2
    codes = ["38.10"] * rows
    if letters:
        codes[PART - 1] = "V45.81"  # the last row of the first part
    table = "SUBJECT_ID,HADM_ID,ICD9_CODE,ADMITTIME,DISCHTIME\n" + "".join(f"1,1,{code},,\n" for code in codes)
    expected = [str(code) for code in pd.read_csv(io.StringIO(table), low_memory=True)["ICD9_CODE"]]
    assert converted(codes, PART) == expected
    assert expected.count("38.10") == (PART - 1 if letters else 0)
