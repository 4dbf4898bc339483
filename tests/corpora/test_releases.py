"""Counts of the published releases of MIMIC."""

from __future__ import annotations

from medcode.corpora import releases


def counts_of(corpus: str) -> dict:
    counts: dict = {}
    for name, count in releases.RELEASES[corpus].counts.items():
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
    for corpus in releases.RELEASES:
        compared = releases.compare(corpus, counts_of(corpus))
        assert compared["different"] == {}
        assert compared["compared"] == len(releases.RELEASES[corpus].counts)
        assert releases.warning(compared) is None


def test_a_truncated_table_is_named_with_its_release():
    counts = counts_of("mimic3")
    counts["rows"]["notes"] = 2_000_000
    del counts["note_rows_by_category"]["Pharmacy"]
    compared = releases.compare("mimic3", counts)
    assert compared["different"] == {
        "rows/notes": {"published": 2_083_180, "counted": 2_000_000},
        "note_rows_by_category/Pharmacy": {"published": 103, "counted": 0},
    }
    line = releases.warning(compared)
    assert line.startswith("warning: not the tables of MIMIC-III v1.4: rows/notes is 2,000,000, published 2,083,180")
    assert "and 1 other counts differ" in line and "\n" not in line


def test_tables_that_were_not_read_are_not_compared():
    counts = counts_of("mimic3")
    del counts["rows"]["icd9proc"]
    assert releases.compare("mimic3", counts)["different"] == {}


def test_a_corpus_without_a_release_is_not_compared():
    assert releases.compare("synthetic-mimic3", {"rows": {"notes": 3}}) is None
