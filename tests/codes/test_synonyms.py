"""Synonyms of codes: inclusion terms of ICD-10-CM, and the index of ICD-10-PCS with all its levels."""

from __future__ import annotations

import pandas as pd
import pytest

from medcode.codes import synonyms
from medcode.codes.formatting import is_valid


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return synonyms.table().to_pandas()


@pytest.mark.parametrize(
    ("main_term", "lines", "expected"),
    [
        ("LUCAS", ["**5A1221J**"], [("5A1221J", "LUCAS")]),
        (
            "Adenoidectomy",
            ["see Excision, Adenoids **0CBQ**", "see Resection, Adenoids **0CTQ**"],
            [("0CBQ", "Adenoidectomy"), ("0CTQ", "Adenoidectomy")],
        ),
        (
            "Transplantation",
            ["Bone marrow", "\tsee Transfusion, Vein **30243G**", "Face **0WY20Z**", "Hand", "\tLeft **0XYK0Z**"],
            [
                ("30243G", "Transplantation, Bone marrow"),
                ("0WY20Z", "Transplantation, Face"),
                ("0XYK0Z", "Transplantation, Hand, Left"),
            ],
        ),
        (
            "Supplement",
            ["(continued)", "Vein (continued)", "\tBrachial (continued)", "\t\tRight **05U9**", "\tColic **06U7**"],
            [("05U9", "Supplement, Vein, Brachial, Right"), ("06U7", "Supplement, Vein, Colic")],
        ),
        ("Sling", ["Rectum see Reposition, Rectum **0DSP**"], [("0DSP", "Sling, Rectum")]),
        ("Levator", ["use Muscle, Left", "use Muscle, Right"], []),
        # The reference goes on in the next line, which is no term.
        ("OXEI", ["see New Technology,", "Gastrointestinal System **XD2**"], []),
        # The terms between are on the page before.
        ("Fluoroscopy", ["(continued)", "\t\tSingle **B212**", "Heart **B215**"], [("B215", "Fluoroscopy, Heart")]),
    ],
)
def test_terms_lead_to_codes_through_all_levels(main_term, lines, expected):
    assert list(synonyms.terms_of(main_term, lines)) == expected


def test_every_row_is_a_synonym_of_a_code(table):
    assert not table.duplicated().any() and not table.isna().any().any()
    assert all(is_valid(code, system) for system, code in zip(table["system"], table["code"], strict=True))
    assert (table["synonym"] == table["synonym"].str.split().str.join(" ")).all()
    assert not table["synonym"].str.contains(r"\*|\(continued\)|^,|,$|, ,").any()
    assert table["synonym"].map(str.isascii).all()
    assert list(zip(table["system"], table["code"], strict=True)) == sorted(
        zip(table["system"], table["code"], strict=True)
    )


def test_synonyms_of_some_codes(table):
    of = table.groupby(["system", "code"])["synonym"].agg(set)
    assert "TIA" in of["icd10cm", "G45.9"]
    assert {"Classical cholera"} == of["icd10cm", "A00.0"]
    assert "Adenoidectomy" in of["icd10pcs", "0CTQ"]


def test_all_inclusion_terms_and_codes_of_the_index_are_there(table):
    assert synonyms.metrics(synonyms.table()) == {
        "icd10cm": {"inclusion_term": {"synonyms": 12_569, "codes": 6_805}},
        "icd10pcs": {"index": {"synonyms": 16_343, "codes": 13_067}},
    }
    assert len(table) == 12_569 + 16_343
