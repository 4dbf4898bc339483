"""GEMs: all rows of the official files, and edges only between selected codes."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from medcode.codes import fetch, gem
from medcode.errors import UserError

ICD9 = [("icd9cm", "576.2"), ("icd9cm", "749.11"), ("icd9cm", "807.00"), ("icd9proc", "03.31")]
ICD10 = [("icd10cm", "K83.1"), ("icd10cm", "Q36.9"), ("icd10cm", "S22.39XA"), ("icd10pcs", "009U3ZX")]


def counts(table: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    """Return the numbers of rows, sources, approximate, no map, combination."""
    return {
        system: (
            len(rows), rows["source"].nunique(), int(rows["approximate"].sum()), int(rows["no_map"].sum()),
            int(rows["combination"].sum()),
        )
        for system, rows in table.groupby("source_system")
    }  # fmt: skip


def test_counts_of_the_official_files(official_tables):
    table = official_tables.gem
    assert counts(table) == {
        "icd9cm": (24_860, 14_567, 21_338, 422, 2_338),
        "icd10cm": (81_593, 71_704, 78_071, 731, 9_033),
        "icd9proc": (73_593, 3_882, 73_546, 210, 3_392),
        "icd10pcs": (101_025, 78_705, 100_978, 2, 20_641),
    }
    exact = table[(table["approximate"] == 0) & table["target"].notna()]
    assert exact.groupby("source_system").size().to_dict() == {
        "icd9cm": 3_522, "icd10cm": 3_522, "icd9proc": 47, "icd10pcs": 47,
    }  # fmt: skip
    alone = exact[~table.duplicated(["source_system", "source"], keep=False).loc[exact.index]]
    assert alone.groupby("source_system").size().to_dict() == {
        "icd9cm": 3_521, "icd10cm": 3_516, "icd9proc": 45, "icd10pcs": 47,
    }  # fmt: skip
    stray = table[(table["combination"] == 0) & ((table["scenario"] > 0) | (table["choice_list"] > 0))]
    assert stray.groupby("source_system").size().to_dict() == {"icd9proc": 3, "icd10pcs": 1}
    unflagged = table[table["target"].isna() & (table["no_map"] == 0)]
    assert unflagged.groupby("source_system").size().to_dict() == {"icd10pcs": 29}
    assert set(table["table"]) == {"official"}


def test_examples_from_the_papers_are_in_the_table(official_tables, package_tables):
    for tables in (official_tables, package_tables):
        edges = gem.edges(tables.gem, ICD9[:2], ICD10[:2]).to_pylist()
        weights = {(row["source"], row["target"]): (row["weight"], row["approximate"]) for row in edges}
        assert weights == {
            ("576.2", "K83.1"): (1.0, False),
            ("749.11", "Q36.9"): (0.5, True),
            ("K83.1", "576.2"): (1.0, False),
            ("Q36.9", "749.11"): (0.5, True),
        }


def test_the_packages_have_diagnoses_of_an_older_edition_and_one_direction_of_procedures(package_tables):
    table = package_tables.gem
    rows = {system: rows for system, (rows, *_) in counts(table).items()}
    assert rows == {"icd9cm": 23_912, "icd10cm": 78_838, "icd9proc": 73_593}
    assert set(table["table"]) == {"package"}


def test_the_packages_gem_of_procedures_is_the_official_file(package_tables):
    """Written in the form of the official file, its rows have that file's digest."""
    rows = package_tables.gem[package_tables.gem["source_system"] == "icd9proc"]
    no_target = rows.index[rows["target"].isna()]
    targets = rows["target"].astype(object)
    targets[no_target] = "NoPCS"
    digits = rows[list(gem.FLAGS)].astype(str).agg("".join, axis=1)
    lines = (
        f"{source.replace('.', ''):<5} {target:<7} {flags}\r\n"
        for source, target, flags in zip(rows["source"], targets, digits, strict=True)
    )
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest == fetch.DIGESTS["gem_i9pcs.txt"]


def test_procedures_are_linked_without_the_official_files(package_tables):
    edges = gem.edges(package_tables.gem, [("icd9proc", "03.31")], [("icd10pcs", "009U3ZX")])
    assert [tuple(row.values())[:6] for row in edges.to_pylist()] == [
        ("icd9_to_icd10", "icd9proc", "03.31", "icd10pcs", "009U3ZX", 0.5)
    ]


def test_edges_of_a_direction_come_from_its_own_file(small_official):
    table = gem.table(small_official).to_pandas()
    edges = gem.edges(table, [*ICD9, ("icd9cm", "749.21")], ICD10).to_pandas()
    assert edges[["direction", "source", "target", "weight"]].to_numpy().tolist() == [
        ["icd9_to_icd10", "576.2", "K83.1", 1.0],
        ["icd9_to_icd10", "749.11", "Q36.9", 0.5],
        ["icd9_to_icd10", "807.00", "S22.39XA", 0.5],  # once, though in two scenarios
        ["icd9_to_icd10", "03.31", "009U3ZX", 0.5],
        ["icd10_to_icd9", "K83.1", "576.2", 1.0],
        ["icd10_to_icd9", "Q36.9", "749.11", 0.5],
        ["icd10_to_icd9", "Q36.9", "749.21", 0.5],
        ["icd10_to_icd9", "009U3ZX", "03.31", 0.5],
    ]
    assert gem.edges(table, ICD9, ICD10[:1])["source"].to_pylist() == ["576.2", "K83.1"]
    diagnoses = gem.edges(table, ICD9, ICD10, procedures=False).to_pandas()
    assert set(diagnoses["source_system"]) == {"icd9cm", "icd10cm"}


def test_no_map_is_never_an_edge(small_official):
    table = gem.table(small_official).to_pandas()
    unmapped = table[table["target"].isna()]
    assert unmapped["source"].tolist() == ["V86.1", "3E0102A"]
    assert unmapped["no_map"].tolist() == [1, 0]
    named = [("icd9cm", "V86.1"), ("icd10pcs", "3E0102A"), ("icd10cm", "NoDx"), ("icd9proc", "NoI9")]
    assert gem.edges(table, named, named).num_rows == 0


def test_flags_are_read_from_the_file(small_official):
    row = gem.table(small_official).to_pandas().set_index("source").loc["00.66", list(gem.FLAGS)]
    assert row.tolist() == [1, 0, 0, 1, 2]


def test_edges_of_no_codes_are_an_empty_table(small_official):
    table = gem.table(small_official).to_pandas()
    for icd9, icd10 in (([], []), (ICD9, []), ([], ICD10)):
        edges = gem.edges(table, icd9, icd10)
        assert edges.num_rows == 0 and edges.schema == gem.EDGES


def test_metrics_count_edges_by_the_system_that_they_start_from(small_official, package_tables):
    table = gem.table(small_official).to_pandas()
    codes = pd.DataFrame([*ICD9, *ICD10, ("icd9cm", "V86.1")], columns=["system", "code"])
    edges = gem.edges(table, ICD9, ICD10).to_pandas()
    measured = gem.metrics(table, codes, edges, procedures=True)
    assert measured["edges"] == {
        "icd9_to_icd10": {"exact": 1, "approximate": 3},
        "icd10_to_icd9": {"exact": 1, "approximate": 2},
    }
    assert measured["codes"] == {
        "icd9cm": {"codes": 4, "with_edge": 3, "without_edge": 1},
        "icd9proc": {"codes": 1, "with_edge": 1, "without_edge": 0},
        "icd10cm": {"codes": 3, "with_edge": 2, "without_edge": 1},  # S22.39XA is a target only
        "icd10pcs": {"codes": 1, "with_edge": 1, "without_edge": 0},
    }
    assert measured["tables"]["icd9proc"] == {"table": "official", "rows": 2}
    without = gem.metrics(package_tables.gem, codes, edges.head(0), procedures=True)
    assert without["tables"]["icd10pcs"] == {"table": "none", "rows": 0}
    assert gem.metrics(table, codes, edges, procedures=False)["tables"]["icd9proc"]["table"] == "off"


def test_a_damaged_file_names_its_line(small_official, tmp_path):
    for path in small_official.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "2018_I9gem.txt").write_text("5762  K831    00000\n5762  K831\n")
    with pytest.raises(UserError, match=r"2018_I9gem\.txt: line 2: expected a source, a target and five digits"):
        gem.table(tmp_path)
