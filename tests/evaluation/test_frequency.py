"""F1 by training frequency: groups of codes, and tables that match values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medcode.config import Evaluation
from medcode.evaluation.frequency import COLUMNS, frequency_groups, frequency_table, linkage_table


@pytest.fixture
def options() -> Evaluation:
    return Evaluation(
        macro_f1="per_label_all", fixed_threshold=0.5, threshold_grid=100, at=[1], frequency_bins=[2, 10], batch_size=1
    )


def names(train_counts, bins):
    return [(name, labels.tolist()) for name, labels in frequency_groups(np.array(train_counts), bins)]


def test_groups_include_their_upper_end():
    assert names([0, 1, 10, 11, 50, 51, 0], [10, 50]) == [
        ("0", [0, 6]),
        ("1-10", [1, 2]),
        ("11-50", [3, 4]),
        ("51+", [5]),
    ]


def test_groups_of_the_jams_study():
    assert [name for name, _ in names([1, 100, 101, 1000, 1001], [100, 1000])] == ["1-100", "101-1000", "1001+"]


def test_empty_groups_are_omitted_and_single_counts_have_one_number():
    assert names([1, 500], [1, 10]) == [("1", [0]), ("11+", [1])]


def test_the_table_matches_values_computed_by_hand(options):
    train_counts = np.array([50, 2, 1, 0])
    gold = np.array([[1, 1, 0, 0], [1, 0, 1, 1]])
    scores = np.array([[0.9, 0.4, 0.1, 0.1], [0.4, 0.1, 0.6, 0.1]], np.float32)
    assert frequency_table(gold, scores, train_counts, 0.3, options, "ccs") == [
        {"head": "ccs", "group": "0", "codes": 1, "gold": 1,
         "f1_micro": 0.0, "f1_macro": 0.0, "f1_micro_tuned": 0.0, "f1_macro_tuned": 0.0},
        {"head": "ccs", "group": "1-2", "codes": 2, "gold": 2,
         "f1_micro": 2 / 3, "f1_macro": 1 / 2, "f1_micro_tuned": 1.0, "f1_macro_tuned": 1.0},
        {"head": "ccs", "group": "11+", "codes": 1, "gold": 2,
         "f1_micro": 2 / 3, "f1_macro": 2 / 3, "f1_micro_tuned": 1.0, "f1_macro_tuned": 1.0},
    ]  # fmt: skip


def test_linked_and_unlinked_codes_are_measured_separately(options):
    train_counts, linked = np.array([50, 2, 1, 0]), np.array([False, True, False, False])
    gold = np.array([[1, 1, 0, 0], [1, 0, 1, 1]])
    scores = np.array([[0.9, 0.4, 0.1, 0.1], [0.4, 0.1, 0.6, 0.1]], np.float32)
    rows = linkage_table(gold, scores, train_counts, 0.3, options, "icd9", linked)
    assert [(row["group"], row["linked"], row["codes"], row["gold"]) for row in rows] == [
        ("0", "no", 1, 1), ("1-2", "yes", 1, 1), ("1-2", "no", 1, 1), ("11+", "no", 1, 2),
    ]  # fmt: skip
    assert [(row["f1_macro"], row["f1_macro_tuned"]) for row in rows[1:3]] == [(0.0, 1.0), (1.0, 1.0)]
    assert all(list(row) == ["head", "group", "linked", *COLUMNS] for row in rows)
    assert linkage_table(gold, scores, train_counts, 0.3, options, "icd9", np.zeros(4, bool)) == []
