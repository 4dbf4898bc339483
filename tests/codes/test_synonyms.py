"""Synonyms of codes: inclusion terms, the index of ICD-10-PCS with all its levels, short titles, equivalents, own."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from medcode.codes import gem, synonyms
from medcode.codes.formatting import is_valid

OWN = [("icd9cm", "401.9", "high blood pressure"), ("icd10cm", "A00.0", "Classical cholera")]


@pytest.fixture(scope="module")
def built(package_tables) -> pa.Table:
    descriptions = pa.Table.from_pandas(package_tables.descriptions, preserve_index=False)
    return synonyms.table(OWN, (gem.table(None), descriptions))


@pytest.fixture(scope="module")
def table(built) -> pd.DataFrame:
    return built.to_pandas()


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
    of = table.groupby(["system", "code"])["synonym"].agg(list)
    assert "TIA" in of["icd10cm", "G45.9"]
    assert of["icd10cm", "A00.0"] == ["Classical cholera"] * 2  # the user's, and the inclusion term
    assert "Adenoidectomy" in of["icd10pcs", "0CTQ"]
    assert of["icd9cm", "401.9"] == ["high blood pressure", "Hypertension NOS"]  # its equivalent I10 is approximate
    # One exact equivalent, J12.0.
    assert of["icd9cm", "480.0"] == ["Adenoviral pneumonia", "Adenoviral pneumonia"]
    assert of["icd9cm", "577.1"][0] == "Chronic pancreatitis"


def test_all_sources_are_there(built, table):
    counts = synonyms.metrics(built)
    assert counts["icd10cm"] == {
        "inclusion_term": {"synonyms": 12_569, "codes": 6_805},
        "own": {"synonyms": 1, "codes": 1},
    }
    assert counts["icd10pcs"] == {"index": {"synonyms": 16_343, "codes": 13_067}}
    assert counts["icd9cm"]["short_title"] == {"synonyms": 14_567, "codes": 14_567}
    assert counts["icd9proc"]["short_title"] == {"synonyms": 3_882, "codes": 3_882}
    assert len(table) == sum(n["synonyms"] for of_system in counts.values() for n in of_system.values())
