"""The hierarchy: every code in one chapter, and example codes in the right block."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from medcode.codes import hierarchy


@pytest.fixture(scope="module")
def places(package_tables) -> pd.DataFrame:
    return hierarchy.table(pa.Table.from_pandas(package_tables.descriptions, preserve_index=False)).to_pandas()


@pytest.mark.parametrize(
    ("system", "code", "chapter", "block", "category"),
    [
        ("icd9cm", "250.00", "240-279", "249-259", "250"),
        ("icd9cm", "486", "460-519", "480-488", "486"),
        ("icd9cm", "280.0", "280-289", None, "280"),
        ("icd9cm", "V45.81", "V01-V91", "V40-V49", "V45"),
        ("icd9cm", "E878.8", "E000-E999", "E878-E879", "E878"),
        ("icd9proc", "03.31", "01-05", None, "03"),
        ("icd9proc", "96.04", "87-99", None, "96"),
        ("icd10cm", "I10", "I00-I99", "I10-I1A", "I10"),
        ("icd10cm", "D3A.00", "C00-D49", "D3A", "D3A"),
        ("icd10cm", "D45", "C00-D49", "D37-D48", "D45"),
        ("icd10cm", "C7A.00", "C00-D49", "C00-C96", "C7A"),
        ("icd10cm", "S02.2XXA", "S00-T88", "S00-S09", "S02"),
        ("icd10pcs", "0DTJ4ZZ", "0", "0D", "0DT"),
    ],
)
def test_example_codes_have_the_expected_chapter_and_block(places, system, code, chapter, block, category):
    row = places[(places["system"] == system) & (places["code"] == code)].iloc[0]
    assert [row[name] if pd.notna(row[name]) else None for name in ("chapter", "block", "category")] == [
        chapter, block, category,
    ]  # fmt: skip
    assert row["chapter_description"]


def test_every_code_has_a_chapter_and_a_category(places):
    assert places["chapter"].notna().all() and places["category"].notna().all()
    assert places[["system", "code"]].duplicated().sum() == 0


def test_only_two_chapters_of_icd9_have_no_blocks(places):
    diagnoses = places[places["system"] == "icd9cm"]
    assert set(diagnoses.loc[diagnoses["block"].isna(), "chapter"]) == {"280-289", "740-759"}
    assert places.loc[places["system"] == "icd10cm", "block"].notna().all()


def test_blocks_lie_within_their_chapter(places):
    blocks = places.dropna(subset="block").groupby(["system", "block"])["chapter"].nunique()
    assert (blocks == 1).all()


def test_a_code_shorter_than_a_category_has_no_place():
    codes = pa.table({"system": ["icd9cm", "icd10cm", "icd10pcs"], "code": ["25", "", "0"]})
    assert [row["category"] for row in hierarchy.table(codes).to_pylist()] == [None, None, None]
    assert [row["chapter"] for row in hierarchy.table(codes).to_pylist()] == [None, None, "0"]


def test_codes_of_the_edition_of_2026_with_two_letters_stand_in_chapter_q():
    codes = pa.table({"system": ["icd10cm"] * 3, "code": ["QA0.0109", "QA0", "Q99.9"]})
    rows = [(row["chapter"], row["block"], row["category"]) for row in hierarchy.table(codes).to_pylist()]
    assert rows == [("Q00-QA0", "QA0", "QA0"), ("Q00-QA0", "QA0", "QA0"), ("Q00-QA0", "Q90-Q99", "Q99")]
