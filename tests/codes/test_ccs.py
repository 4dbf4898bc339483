"""CCS categories of the papers' 50 codes, and the source of each category."""

from __future__ import annotations

import pandas as pd
import pytest

from medcode.codes import ccs

DIAGNOSES = [
    "401.9", "428.0", "427.31", "414.01", "584.9", "250.00", "272.4", "518.81", "599.0", "530.81", "272.0", "285.9",
    "244.9", "486", "285.1", "276.2", "496", "995.92", "V58.61", "507.0", "038.9", "585.9", "403.90", "311", "305.1",
    "412", "287.5", "410.71", "276.1", "V45.81", "424.0", "V15.82", "511.9",
]  # fmt: skip
PROCEDURES = [
    "38.93", "96.04", "96.6", "96.71", "99.04", "39.61", "96.72", "88.56", "38.91", "36.15", "99.15", "88.72",
    "37.22", "33.24", "39.95", "45.13", "37.23",
]  # fmt: skip
MERGED = {
    "D2": {"038.9", "995.92"}, "D53": {"272.0", "272.4"}, "D55": {"276.1", "276.2"},
    "D101": {"414.01", "412", "V45.81"},
    "D663": {"305.1", "V15.82"}, "P47": {"37.22", "37.23", "88.56"}, "P54": {"38.91", "38.93"},
    "P216": {"96.04", "96.71", "96.72"}, "P223": {"96.6", "99.15"},
}  # fmt: skip
SINGLE = {
    "D48": "244.9", "D49": "250.00", "D59": "285.9", "D60": "285.1", "D62": "287.5", "D96": "424.0", "D98": "401.9",
    "D99": "403.90", "D100": "410.71", "D106": "427.31", "D108": "428.0", "D122": "486", "D127": "496", "D129": "507.0",
    "D130": "511.9", "D131": "518.81", "D138": "530.81", "D157": "584.9", "D158": "585.9", "D159": "599.0",
    "D257": "V58.61", "D657": "311", "P37": "33.24", "P44": "36.15", "P50": "39.61", "P58": "39.95", "P70": "45.13",
    "P193": "88.72", "P222": "99.04",
}  # fmt: skip
TOP50 = {**MERGED, **{category: {code} for category, code in SINGLE.items()}}


def labels(**codes: list[str]) -> pd.DataFrame:
    return pd.DataFrame([(s, code) for s, listed in codes.items() for code in listed], columns=["system", "code"])


def grouped(table: pd.DataFrame, labels: pd.DataFrame, bare: bool = False) -> dict[str, set[str]]:
    rows = ccs.categories(labels, table, bare).to_pandas()
    return {category: set(part["code"]) for category, part in rows.groupby("category")}


@pytest.fixture(scope="module")
def package(package_tables) -> pd.DataFrame:
    return package_tables.ccs


def test_the_papers_top50_has_38_categories_from_the_package(package):
    top50 = labels(icd9cm=DIAGNOSES, icd9proc=PROCEDURES)
    assert len(top50) == 50
    categories = grouped(package, top50)
    assert categories == TOP50
    assert len(categories) == 38
    # Among these 50 the papers' bare numbers are unique too.
    assert grouped(package, top50, bare=True) == {category[1:]: codes for category, codes in TOP50.items()}


def test_the_papers_top50_has_38_categories_from_the_official_files(official_tables):
    assert grouped(official_tables.ccs, labels(icd9cm=DIAGNOSES, icd9proc=PROCEDURES)) == TOP50


def test_official_files_and_package_have_the_same_sizes(official_tables, package):
    table = official_tables.ccs
    exact = table[table["level"] == "code"]
    sizes = {system: (len(part), part["category"].nunique()) for system, part in exact.groupby("system")}
    assert sizes["icd9cm"] == (15_072, 283)
    assert sizes["icd9proc"] == (3_948, 231)
    numbers = {system: set(exact.loc[exact["system"] == system, "category"].str[1:]) for system in sizes}
    assert len(numbers["icd9cm"] & numbers["icd9proc"]) == 219  # and 0, for no valid code
    assert not set(table.loc[table["system"] == "icd9cm", "category"]) & set(
        table.loc[table["system"] != "icd9cm", "category"]
    )
    columns = ["system", "code", "category", "category_description"]
    of_package, of_official = (t.loc[t["system"] == "icd9cm", columns].reset_index(drop=True) for t in (package, table))
    pd.testing.assert_frame_equal(of_package, of_official)
    expected = package.loc[package["system"] == "icd9proc", columns]
    assert len(expected.merge(table, on=columns)) == len(expected) == 17


def test_padded_quoted_files_are_read(small_official):
    table = ccs.table(small_official, None).to_pandas().set_index(["system", "code"])
    assert table.loc[("icd9cm", "401.9")].tolist() == ["D98", "Essential hypertension", "code", "official"]
    assert table.loc[("icd9cm", "V45.81"), "category"] == "D101"
    assert table.loc[("icd9cm", "E878.8"), "category"] == "D2616"
    assert table.loc[("icd9cm", "585"), "category"] == "D158"
    assert table.loc[("icd9proc", "03.31"), "category"] == "P4"
    assert ("icd9cm", "") not in table.index
    assert table.index.is_unique


def test_a_code_category_gets_the_ccs_category_of_all_codes_below_it(small_official):
    table = ccs.table(small_official, None).to_pandas().set_index(["system", "code"])
    assert table.loc[("icd9cm", "414.0")].tolist()[:3:2] == ["D101", "category"]
    assert table.loc[("icd9cm", "E878"), "category"] == "D2616"
    assert ("icd9cm", "250") not in table.index, "250.00 and 250.10 are in different categories"
    assert ("icd9cm", "E87") not in table.index


def test_diagnoses_and_procedures_share_a_category_only_with_bare_numbers(small_official):
    table = ccs.table(small_official, None).to_pandas()
    shared_number = labels(icd9cm=["414.01"], icd9proc=["39.31"])
    assert set(grouped(table, shared_number)) == {"D101", "P101"}
    bare = ccs.categories(shared_number, table, bare_numbers=True).to_pylist()
    assert [row["category"] for row in bare] == ["101", "101"]
    assert bare[0]["category_description"] == bare[1]["category_description"]
    assert "Coronary" in bare[0]["category_description"] and "Transurethral" in bare[0]["category_description"]


def test_icd10_diagnoses_have_ccsr_categories(package):
    table = package.set_index(["system", "code"])
    expected = {"I10": "CIR007", "E11.9": "END002", "A41.9": "INF002", "J18.9": "RSP002", "S02.2XXA": "INJ001"}
    for code, category in expected.items():
        assert table.loc[("icd10cm", code), "category"] == category
    # Without its seventh character an injury is taken for the first encounter.
    assert table.loc[("icd10cm", "S02.2XX")].tolist() == ["INJ001", "", "category", "package"]
    assert ("icd10cm", "C49.A") not in table.index
    # Bare numbers concern ICD-9 only.
    assert set(grouped(package, labels(icd10cm=["I10"], icd9cm=["401.9"]), bare=True)) == {"CIR007", "98"}


def test_categories_keep_the_order_of_labels_and_are_counted(package):
    chosen = labels(icd9proc=["99.99", "96.04"], icd9cm=["401.9", "not a code"], icd10pcs=["0DTJ4ZZ"])
    categories = ccs.categories(chosen, package, bare_numbers=False)
    assert categories["code"].to_pylist() == ["96.04", "401.9"]
    counts = ccs.metrics(chosen, package, categories.to_pandas())
    assert counts["has_ccs"] and counts["categories"] == 2
    assert counts["systems"] == {
        "icd10pcs": {
            "table": "none", "categories": 0, "codes_mapped": 0, "codes_unmapped": 1,
            "codes_unmapped_first": ["0DTJ4ZZ"],
        },
        "icd9cm": {
            "table": "package", "categories": 1, "codes_mapped": 1, "codes_unmapped": 1, "codes_unmapped_first": [],
        },
        "icd9proc": {
            "table": "listed", "categories": 1, "codes_mapped": 1, "codes_unmapped": 1,
            "codes_unmapped_first": ["99.99"],
        },
    }  # fmt: skip


def test_a_label_set_without_any_category_has_an_empty_table(package):
    chosen = labels(icd10pcs=["0DTJ4ZZ"])
    categories = ccs.categories(chosen, package, bare_numbers=True)
    assert categories.num_rows == 0 and categories.schema == ccs.LABELS
    assert ccs.metrics(chosen, package, categories.to_pandas())["has_ccs"] is False
