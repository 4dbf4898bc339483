"""Statistics of a corpus."""

from __future__ import annotations

import pandas as pd
import pytest

from medcode.dataset import statistics
from medcode.text.tokens import tokenized

NOTES = {
    "a": "fever and chills",
    "b": "Fever, AND chills 12",  # the same words as a
    "c": "cough",
    "d": "cough and fever and chills now",
    "e": "cough",
    "f": "fever and chills",
    "g": "1 2",
    "h": "3",
    "x": "background cough",
}
SPLIT = {"a": "train", "b": "train", "c": "train", "g": "train", "d": "dev", "e": "dev", "h": "dev", "f": "test"}


@pytest.fixture
def summary():
    documents = pd.DataFrame(
        {
            "admission_id": [*SPLIT, "x"],
            "patient_id": ["1", "1", "2", "3", "4", "4", "5", "6", "7"],
            "split": [*SPLIT.values(), "background"],
        }
    )
    labels = pd.DataFrame({"head": "icd", "system": "icd9cm", "code": ["486", "401.9"], "train_documents": [3, 1]})
    rows = [("a", "486"), ("a", "401.9"), ("b", "486"), ("c", "486"), ("d", "486"), ("f", "999.9")]
    codes = pd.DataFrame(rows, columns=["admission_id", "code"]).assign(system="icd9cm")
    return statistics.summarize(tokenized(NOTES.items()).notes, documents, labels, codes)


def test_documents_patients_words_and_labels(summary):
    train = summary["splits"]["train"]
    assert (train["documents"], train["patients"]) == (4, 3)
    assert train["words"] == {"all": 7, "mean": 1.75, "median": 2, "lower_quartile": 0.75, "upper_quartile": 3}
    labels = train["heads"]["icd"]
    assert (labels["documents"], labels["distinct"], labels["assigned"]) == (3, 2, 4)
    assert labels["per_document"]["median"] == 1
    assert {name: n for name, n in labels["labels_by_documents"].items() if n} == {"1": 1, "2-4": 1}
    assert summary["splits"]["test"]["heads"]["icd"]["distinct"] == 0
    assert summary["splits"]["all"]["documents"] == 8


def test_identical_notes_are_counted_across_splits(summary):
    assert summary["identical_notes"] == {"train-dev": 1, "train-test": 1, "dev-test": 0}
    assert "train and dev 1, train and test 1, dev and test 0" in statistics.identical_line(summary)


def test_the_table_has_a_column_for_each_split(summary):
    header, *rows = statistics.table(summary)
    assert header == ["", "train", "dev", "test", "all"]
    assert {len(row) for row in rows} == {5}
    shown = {row[0]: row[1:] for row in rows}
    assert shown["Documents"] == ["4", "3", "1", "8"]
    assert shown["Share of documents"] == ["50.0%", "37.5%", "12.5%", "100.0%"]
    assert shown["Words per document, median (quartiles)"][2] == "3 (3 to 3)"
    assert shown["Labels per document, mean"] == ["1.3", "1.0", "0.0", "1.2"]


def test_statistics_do_not_name_rare_labels(summary):
    assert summary["splits"]["all"]["heads"]["icd"]["commonest"] == {}


def test_each_head_has_separate_rows(summary):
    summary["splits"] = {
        name: {**split, "heads": {"icd9": split["heads"]["icd"], "icd10": split["heads"]["icd"]}}
        for name, split in summary["splits"].items()
    }
    names = [row[0] for row in statistics.table(summary)]
    assert "Distinct labels, icd9" in names and "Distinct labels, icd10" in names
    assert len(statistics.commonest_lines(summary)) == 2
