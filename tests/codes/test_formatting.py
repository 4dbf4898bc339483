"""Notation of codes: one per code, and distinct codes stay distinct."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcode.codes.formatting import SYSTEMS, category, dotted, is_valid, normalized, undotted
from medcode.errors import UserError

STORED = {
    "icd9cm": r"[0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4}",
    "icd9proc": r"[0-9]{2,4}",
    "icd10cm": r"[A-Z](?:[0-9][0-9A-Z]|[A-Z][0-9])[0-9A-Z]{0,4}",
    "icd10pcs": r"[0-9A-HJ-NP-Z]{7}",
    "icdo3": r"[89][0-9]{3}/[012369][0-9]?(/H)?",
}
stored_codes = st.sampled_from(SYSTEMS).flatmap(
    lambda system: st.tuples(st.just(system), st.from_regex(STORED[system], fullmatch=True))
)


@pytest.mark.parametrize(
    ("system", "stored", "expected"),
    [
        ("icd9proc", "0331", "03.31"),
        ("icd9proc", "66", "66"),
        ("icd9proc", "9604", "96.04"),
        ("icd9cm", "25000", "250.00"),
        ("icd9cm", "E8788", "E878.8"),
        ("icd9cm", "E878", "E878"),
        ("icd9cm", "V4581", "V45.81"),
        ("icd9cm", "486", "486"),
        ("icd9cm", "0389", "038.9"),
        ("icd9cm", " 4019  ", "401.9"),
        ("icd10cm", "e119", "E11.9"),
        ("icd10cm", "I10", "I10"),
        ("icd10cm", "S52501A", "S52.501A"),
        ("icd10cm", "QA00109", "QA0.0109"),
        ("icd10cm", "qa00109", "QA0.0109"),
        ("icd10cm", "QA0", "QA0"),
        ("icd10pcs", "0dtj4zz", "0DTJ4ZZ"),
        ("icd10pcs", "BW03", "BW03"),
        ("icdo3", "8140/3", "8140/3"),
        ("icdo3", "8000/1/h", "8000/1/H"),
    ],
)
def test_dotted_and_undotted_examples(system, stored, expected):
    assert dotted(stored, system) == expected
    assert normalized(stored, system) == normalized(expected, system) == expected


@given(stored_codes)
def test_dotting_loses_nothing_and_every_spelling_meets(pair):
    """The notation is injective: distinct codes stay distinct."""
    system, stored = pair
    dotted_code = dotted(stored, system)
    assert undotted(dotted_code) == stored
    assert is_valid(dotted_code, system)
    assert normalized(stored.lower(), system) == normalized(f" {dotted_code} ", system) == dotted_code
    assert not dotted_code.endswith(".")


def test_a_trailing_point_is_removed():
    assert normalized("66.", "icd9proc") == "66"


@pytest.mark.parametrize(
    ("system", "wrong"),
    [
        ("icd9proc", "3.31"),  # 03.31 as a number: moving the point would make it 33.1
        ("icd9cm", "25.000"),
        ("icd9cm", "38.9"),
        ("icd9cm", "E11.9"),
        ("icd10cm", "250.00"),
        ("icd10cm", ""),
        ("icd10cm", "NoDx"),
        ("icd10cm", "QAA.0"),
        ("icd10cm", "1A0.0"),
        ("icd10pcs", "0DTI4ZZ"),
        ("icd10pcs", "0DT.J4ZZ"),
        ("icd9cm", "²50.00"),
        ("icdo3", "8140.3"),
        ("icdo3", "81403"),
        ("icdo3", "8140/5"),
        ("icdo3", "8140/3/"),
        ("icdo3", "C50.9"),  # topography
    ],
)
def test_an_invalid_code_is_refused_and_not_repaired(system, wrong):
    with pytest.raises(UserError, match=f"is not a code of {system}"):
        normalized(wrong, system)


def test_an_unknown_system_names_the_nearest():
    for function in (dotted, is_valid, normalized):
        with pytest.raises(UserError, match="did you mean 'icd10cm'"):
            function("E119", "icd10-cm")


@pytest.mark.parametrize(
    ("code", "system", "expected"),
    [
        ("401.9", "icd9cm", "401"),
        ("E878.8", "icd9cm", "E878"),
        ("V45.81", "icd9cm", "V45"),
        ("486", "icd9cm", "486"),
        ("38.93", "icd9proc", "38"),
        ("66", "icd9proc", "66"),
        ("S52.501A", "icd10cm", "S52"),
        ("QA0.0109", "icd10cm", "QA0"),
        ("0DTJ4ZZ", "icd10pcs", "0DT"),
        ("8140/32/H", "icdo3", "8140"),
        ("8140", "icdo3", "8140"),
    ],
)
def test_the_category_is_the_part_before_the_point_or_slash(code, system, expected):
    assert category(code, system) == expected
