"""Coverage: exact shares, and measured values on the open corpora."""

from __future__ import annotations

import csv

import pandas as pd
import pytest

from medcode.codes.coverage import coverage
from medcode.codes.formatting import dotted

# description, CCS, GEM; docs/DATA.md shows these
MEASURED = {
    ("D_ICD", "icd9cm"): (14_567, {"package": (1, 1, 0.9708), "official": (1, 1, 0.9710)}),
    ("D_ICD", "icd9proc"): (3_882, {"package": (1, 0.0044, 0.9459), "official": (1, 1, 0.9459)}),
    ("demo", "icd9cm"): (581, {"package": (1, 1, 0.9363), "official": (1, 1, 0.9346)}),
    ("demo", "icd9proc"): (164, {"package": (1, 0.1037, 0.9268), "official": (1, 1, 0.9268)}),
    ("CodiEsp", "icd10cm"): (2_557, {"package": (0.9984, 0.9984, 0.8443), "official": (0.9984, 0.9984, 0.8541)}),
    ("CodiEsp", "icd10pcs"): (870, {"package": (0.9920, 0, 0), "official": (0.9920, 0, 0.3920)}),
}


def test_shares_are_of_distinct_codes():
    codes = pd.DataFrame({"system": ["icd9cm"] * 4, "code": ["1", "1", "2", "3"]})
    descriptions = pd.DataFrame({"system": ["icd9cm", "icd9cm", "icd9proc"], "code": ["1", "2", "3"]})
    mappings = pd.DataFrame(
        {"source_system": ["icd9cm"] * 3, "source": ["1", "1", "2"], "target": pd.Series(["A", "B", None], dtype="str")}
    )
    assert coverage(codes, descriptions, descriptions.head(1), mappings) == {
        "icd9cm": {
            "codes": 3,
            "description": pytest.approx(2 / 3),
            "ccs": pytest.approx(1 / 3),
            "gem": pytest.approx(1 / 3),
            "gem_no_map": pytest.approx(1 / 3),
        }
    }


@pytest.fixture(scope="module")
def codes(shared) -> dict[str, pd.DataFrame]:
    rows_of: dict[str, list] = {"D_ICD": [], "demo": [], "CodiEsp": []}
    for name, file_name in (("D_ICD", "D_ICD_{}"), ("demo", "{}_ICD")):
        for system, table in (("icd9cm", "DIAGNOSES"), ("icd9proc", "PROCEDURES")):
            with open(shared / "corpora" / "mimic-iii-demo" / f"{file_name.format(table)}.csv", newline="") as file:
                rows_of[name] += [(system, dotted(row["icd9_code"], system)) for row in csv.DictReader(file)]
    for system, track in (("icd10cm", "D"), ("icd10pcs", "P")):
        for path in sorted((shared / "corpora" / "codiesp").glob(f"*/*{track}.tsv")):
            rows_of["CodiEsp"] += [
                (system, line.split("\t")[1].strip().upper()) for line in path.read_text().splitlines()
            ]
    return {name: pd.DataFrame(rows, columns=["system", "code"]) for name, rows in rows_of.items()}


@pytest.mark.parametrize("source", ["package", "official"])
@pytest.mark.parametrize("corpus", ["D_ICD", "demo", "CodiEsp"])
def test_coverage_of_the_open_corpora(request, codes, corpus, source):
    tables = request.getfixturevalue(f"{source}_tables")
    shares_of = coverage(codes[corpus], tables.descriptions, tables.ccs, tables.gem)
    assert shares_of.keys() == {system for name, system in MEASURED if name == corpus}
    for system, measured in shares_of.items():
        number, expected = MEASURED[corpus, system]
        assert measured["codes"] == number
        shares = tuple(measured[name] for name in ("description", "ccs", "gem"))
        assert shares == pytest.approx(expected[source], abs=5e-5), (corpus, system)
