"""Descriptions: correct, one per code, and complete for the corpora."""

from __future__ import annotations

import csv

import pytest

from medcode.codes.formatting import SYSTEMS, dotted, is_valid


@pytest.fixture(scope="module")
def descriptions(package_tables) -> dict[tuple[str, str], tuple[str, str]]:
    rows = package_tables.descriptions
    table = {(row.system, row.code): (row.description, row.source) for row in rows.itertuples()}
    assert len(table) == len(rows), "a code has two descriptions"
    return table


@pytest.mark.parametrize(
    ("system", "code", "description", "source"),
    [
        ("icd9cm", "250.00", "type II or unspecified type, not stated as uncontrolled", "current"),
        ("icd9cm", "038.9", "Unspecified septicemia", "current"),
        ("icd9proc", "03.31", "Spinal tap", "current"),
        ("icd10cm", "I10", "Essential (primary) hypertension", "current"),
        ("icd10pcs", "0DTJ4ZZ", "Resection of Appendix, Percutaneous Endoscopic Approach", "current"),
        ("icd9cm", "585", "CHRONIC RENAL FAILURE", "retired"),
        ("icd9cm", "567.2", "SUPPURAT PERITONITIS NEC", "retired"),
        ("icd9proc", "36.05", "coronary angioplasty of multiple vessels", "retired"),
        ("icd10cm", "G20", "Parkinson's disease", "retired"),
        ("icd10cm", "E11", "Type 2 diabetes mellitus", "category"),
        ("icd10cm", "C34", "Malignant neoplasm of bronchus and lung", "category"),
        ("icd10cm", "E66.811", "Obesity, class 1", "current"),  # since 2025
        ("icd10cm", "QA0.0109", "pathogenic variant in other ion channel gene", "current"),  # since 2026
        ("icd10cm", "E66.8", "Other obesity", "retired"),  # until 2024; E66.81 and E66.89 took its place
        ("icd10cm", "S62.90XA", "fracture of unspecified hand, initial encounter for closed fracture", "current"),
        ("icd10cm", "S62.90X", "Unspecified fracture of unspecified hand", "category"),
        ("icd10pcs", "0DTJ", "Resection of Appendix", "category"),
        ("icd10pcs", "0D96", "Drainage of Stomach", "category"),
    ],
)
def test_descriptions_of_some_codes(descriptions, system, code, description, source):
    full_description, origin = descriptions[system, code]
    assert description in full_description
    assert origin == source


def test_tables_are_as_large_as_the_official_editions(descriptions):
    current = [system for (system, _), (_, source) in descriptions.items() if source == "current"]
    assert {system: current.count(system) for system in SYSTEMS} == {
        "icd9cm": 14_567,
        "icd9proc": 3_882,
        "icd10cm": 74_719,
        "icd10pcs": 78_603,
        "icdo3": 0,  # no package has them
    }


def test_every_row_is_a_code_with_a_tidy_description(descriptions):
    for (system, code), (description, source) in descriptions.items():
        assert is_valid(code, system)
        assert description == description.strip() != ""
        if source == "category" and code != "T85.59":  # whose title ends in "implants and" in the tabular list
            assert description.count("(") <= description.count(")")
            assert description.split()[-1].lower() not in {"of", "with", "and", "or", "due", "to", "in"}


def test_descriptions_are_decoded_as_latin_1(descriptions):
    assert any(
        "é" in description or "è" in description
        for (system, _), (description, _) in descriptions.items()
        if system == "icd9cm"
    )
    assert not any("\ufffd" in description or "Ã" in description for description, _ in descriptions.values())


def test_every_code_of_the_mimic_demo_has_a_description(descriptions, shared):
    codes_of = {}
    for system, table in (("icd9cm", "DIAGNOSES_ICD"), ("icd9proc", "PROCEDURES_ICD")):
        with open(shared / "corpora" / "mimic-iii-demo" / f"{table}.csv", newline="") as file:
            codes_of[system] = {dotted(row["icd9_code"], system) for row in csv.DictReader(file)}
    assert {system: len(codes) for system, codes in codes_of.items()} == {"icd9cm": 581, "icd9proc": 164}
    assert [(s, code) for s, codes in codes_of.items() for code in codes if (s, code) not in descriptions] == []


def test_nearly_every_code_of_codiesp_has_a_description(descriptions, shared):
    for system, track, least in (("icd10cm", "D", 2_540), ("icd10pcs", "P", 863)):
        codes = set()
        for path in sorted((shared / "corpora" / "codiesp").glob(f"*/*{track}.tsv")):
            codes |= {line.split("\t")[1].strip().upper() for line in path.read_text().splitlines()}
        assert sum((system, code) in descriptions for code in codes) >= least, f"of {len(codes)} codes of {system}"
