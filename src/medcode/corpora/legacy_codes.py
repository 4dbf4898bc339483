"""The errors that the papers' scripts made in reading MIMIC-III's codes, for those who must match a published count.

The script of Mullenbach et al. 2018, which most later work started from, read the tables with pandas and let it guess
types:

- PROCEDURES_ICD, which holds digits only, was read as whole numbers, so leading zeros were lost: 0331 became 331, then
  33.1, another procedure.
- The table of all codes, diagnoses before procedures, was written with points and read again. pandas guesses types
  part by part; where all codes of a part look like numbers they became floats, so that 38.10 turned into 38.1 there and
  stayed 38.10 elsewhere: one procedure, two labels. Different papers have 8,921, 8,922, 8,929 and 8,930 labels, most
  likely for this reason.

They counted duplicates too, when they chose the 50 most frequent codes; a document's labels are a set all the same.
"""

from __future__ import annotations

import pandas as pd

# Rows of a part: the largest power of two with which the columns, 5 in that table, make less than 2**20 cells.
PART = 131_072


def read_as_numbers(codes: pd.Series) -> pd.Series:
    """Takes the leading zeros from codes of digits only, as stored (no point)."""
    stripped = codes.str.strip()
    digits = stripped.str.fullmatch("[0-9]+")
    return stripped.where(~digits, stripped.str.lstrip("0").where(stripped.str.strip("0") != "", "0"))


def read_again(codes: pd.DataFrame, rows: int = PART) -> pd.DataFrame:
    """Turns the codes of each part that holds nothing but numbers into floats, written as Python writes them.

    Args:
        codes: admission_id, system, code (dotted); all diagnoses before all procedures, in the tables' order.
        rows: how many rows a part has.
    """
    values = codes["code"].astype(object)
    for start in range(0, len(values), rows):
        part = values.iloc[start : start + rows]
        if part.str.fullmatch(r"[0-9]+(\.[0-9]+)?").all():
            values.iloc[start : start + rows] = [str(float(code)) for code in part]
    return codes.assign(code=values.astype("str"))
