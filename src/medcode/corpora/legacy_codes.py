"""Errors of the papers' scripts in reading the codes of MIMIC-III, reproduced to match published counts.

The script of Mullenbach et al. 2018, on which most later work is based, read the tables with pandas and let it infer
types:

- PROCEDURES_ICD, which holds digits only, was read as whole numbers, so leading zeros were lost: 0331 became 331, then
  33.1, another procedure.
- The table of all codes, diagnoses before procedures, was written with points and read again. pandas infers types
  part by part; where all codes of a part look like numbers they became floats, so that 38.10 turned into 38.1 there and
  stayed 38.10 elsewhere: one procedure, two labels. Different papers have 8,921, 8,922, 8,929 and 8,930 labels, most
  likely for this reason.

The scripts also counted duplicates when choosing the 50 most frequent codes; the labels of a document are a set anyway.
"""

from __future__ import annotations

import pandas as pd

# Rows per part in pandas: the largest power of two for which 5 columns make fewer than 2**20 cells.
PART = 131_072


def read_as_numbers(codes: pd.Series) -> pd.Series:
    """Remove the leading zeros of codes that consist of digits only, as stored (no point)."""
    stripped = codes.str.strip()
    digits = stripped.str.fullmatch("[0-9]+")
    return stripped.where(~digits, stripped.str.lstrip("0").where(stripped.str.strip("0") != "", "0"))


def read_again(codes: pd.DataFrame, rows: int = PART) -> pd.DataFrame:
    """Convert the codes of each purely numeric part to floats, formatted as Python does.

    Args:
        codes: admission_id, system, code (dotted); all diagnoses before all procedures, in the order of the tables.
        rows: number of rows in a part.
    """
    values = codes["code"].astype(object)
    for start in range(0, len(values), rows):
        part = values.iloc[start : start + rows]
        if part.str.fullmatch(r"[0-9]+(\.[0-9]+)?").all():
            values.iloc[start : start + rows] = [str(float(code)) for code in part]
    return codes.assign(code=values.astype("str"))
