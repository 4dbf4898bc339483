"""Counts of the published releases of MIMIC."""

from __future__ import annotations

import pytest

from medcode.corpora import releases


def counts_of(corpus: str, release: int = 0) -> dict:
    counts: dict = {}
    for name, count in releases.RELEASES[corpus][release].counts.items():
        section, _, key = name.partition("/")
        if key:
            counts.setdefault(section, {})[key] = count
        else:
            counts[section] = count
    return counts


def test_the_categories_add_up_to_all_rows():
    counts = counts_of("mimic3")
    assert sum(counts["note_rows_by_category"].values()) == counts["rows"]["notes"]


def test_a_complete_release_has_no_differences():
    for corpus, published in releases.RELEASES.items():
        for number, release in enumerate(published):
            compared = releases.compare(corpus, counts_of(corpus, number))
            assert compared == {"name": release.name, "compared": len(release.counts), "different": {}}
            assert releases.remark(compared) == f"release: {release.name}, by {len(release.counts)} row counts"


@pytest.mark.parametrize(
    ("diagnoses", "procedures", "name"),
    [(4_756_326, 669_186, "MIMIC-IV v2.2"), (6_364_488, 859_655, "MIMIC-IV v3.1")],
)
def test_copies_of_mimic4_have_one_note_less_than_its_page_says(diagnoses, procedures, name):
    by_table = {"diagnoses_icd": diagnoses, "procedures_icd": procedures}
    compared = releases.compare("mimic4", {"rows": {"notes": 331_793}, "code_rows_by_table": by_table})
    assert compared["name"] == f"{name} and MIMIC-IV-Note v2.2" and compared["different"] == {}


def test_a_truncated_table_is_compared_with_the_nearest_release():
    counts = counts_of("mimic4", 1)
    counts["rows"]["notes"] = 331_000
    line = releases.remark(releases.compare("mimic4", counts))
    assert line.startswith(
        "warning: not the tables of MIMIC-IV v3.1 and MIMIC-IV-Note v2.2: rows/notes is 331,000, publ"
    )


def test_a_truncated_table_is_named_with_its_release():
    counts = counts_of("mimic3")
    counts["rows"]["notes"] = 2_000_000
    del counts["note_rows_by_category"]["Pharmacy"]
    compared = releases.compare("mimic3", counts)
    assert compared["different"] == {
        "rows/notes": {"published": 2_083_180, "counted": 2_000_000},
        "note_rows_by_category/Pharmacy": {"published": 103, "counted": 0},
    }
    line = releases.remark(compared)
    assert line.startswith("warning: not the tables of MIMIC-III v1.4: rows/notes is 2,000,000, published 2,083,180")
    assert "and 1 other counts differ" in line and "\n" not in line


def test_tables_that_were_not_read_are_not_compared():
    counts = counts_of("mimic3")
    del counts["rows"]["icd9proc"]
    assert releases.compare("mimic3", counts)["different"] == {}


def test_a_corpus_without_a_release_is_not_compared():
    assert releases.compare("synthetic-mimic3", {"rows": {"notes": 3}}) is None
