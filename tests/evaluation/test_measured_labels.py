"""Labels that are absent from a split, left out of every metric but AUC."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medcode.config import Evaluation
from medcode.evaluation.frequency import frequency_table, linkage_table
from medcode.evaluation.summary import head_metrics

# Label 2 is in no document; document 3 has no label.
GOLD = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8)
SCORES = np.array([[0.9, 0.2, 0.8], [0.6, 0.7, 0.95], [0.4, 0.8, 0.1], [0.55, 0.3, 0.1]], np.float32)
TRAIN_COUNTS = np.array([20, 3, 1])


def options(labels: str) -> Evaluation:
    return Evaluation(
        labels=labels, macro_f1="caml", fixed_threshold=0.5, threshold_grid=100, at=[1, 2, 3], frequency_bins=[10],
        batch_size=1,
    )  # fmt: skip


def measure(labels: str) -> dict:
    return head_metrics(GOLD, SCORES, TRAIN_COUNTS, 0.75, options(labels))


def test_all_labels_and_documents_are_measured_by_default():
    values = measure("all")
    # Predicted above 0.5: {0, 2}, {0, 1, 2}, {1}, {0}; three of these seven are right, of four.
    assert values["fixed"]["precision"]["micro"] == pytest.approx(3 / 7)
    assert values["fixed"]["f1"]["micro"] == pytest.approx(6 / 11)
    assert values["fixed"]["precision"]["macro"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert values["fixed"]["recall"]["macro"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert values["fixed"]["exact_match"] == 0
    assert values["ranking"]["precision_at_1"] == pytest.approx(2 / 4)  # label 2 comes first in document 1
    assert values["ranking"]["precision_at_3"] == pytest.approx(4 / 12)
    assert values["counts"]["labels_measured"] == values["counts"]["labels"] == 3
    assert values["counts"]["documents_measured"] == values["counts"]["documents"] == 4
    assert Evaluation.model_fields["labels"].default == "all"


def test_absent_labels_and_uncoded_documents_are_left_out():
    values = measure("present")
    fixed, ranks, counts = values["fixed"], values["ranking"], values["counts"]
    # Without label 2 and document 3: {0}, {0, 1}, {1} are predicted; three of these four are right, of four.
    for average in ("precision", "recall", "f1"):
        assert fixed[average]["micro"] == pytest.approx(3 / 4)
    assert fixed["precision"]["macro"] == pytest.approx((1 / 2 + 1) / 2)
    assert fixed["recall"]["macro"] == pytest.approx((1 / 2 + 1) / 2)
    assert fixed["f1"]["macro"] == fixed["macro_f1"]["caml"] == pytest.approx(3 / 4)
    for definition in ("per_label_all", "per_label_present"):
        assert fixed["macro_f1"][definition] == pytest.approx((1 / 2 + 1) / 2)
    assert fixed["jaccard"]["micro"] == pytest.approx(3 / 5)
    assert fixed["exact_match"] == pytest.approx(1 / 3)
    assert fixed["predicted_per_document"] == pytest.approx(4 / 3)
    # Above 0.75: {0}, {}, {1}, all right.
    assert values["tuned"]["f1"]["micro"] == pytest.approx(4 / 6)
    assert ranks["precision_at_1"] == ranks["map"] == ranks["r_precision"] == 1
    assert ranks["precision_at_2"] == pytest.approx(4 / 6)
    assert "precision_at_3" not in ranks  # of two labels
    assert (counts["labels"], counts["labels_measured"], counts["labels_in_gold"]) == (3, 2, 2)
    assert (counts["documents"], counts["documents_measured"], counts["documents_without_gold"]) == (4, 3, 1)


def test_auc_is_over_all_labels_and_documents_as_in_edins_code():
    """Macro AUC skips absent labels in any case; the filtered micro AUC is overwritten by the unfiltered one."""
    values, usual = measure("present")["auc"], measure("all")["auc"]
    assert values == usual
    # Label 0: 0.9 is above 0.6 and 0.55, 0.4 above neither. Label 1: 0.7 and 0.8 are above 0.2 and 0.3.
    assert values["macro"] == pytest.approx((2 / 4 + 1) / 2)
    assert values["micro"] == pytest.approx(roc_auc_score(GOLD.ravel(), SCORES.ravel()))
    assert values["micro"] != pytest.approx(roc_auc_score(GOLD[:3, :2].ravel(), SCORES[:3, :2].ravel()))


def test_groups_of_codes_leave_them_out_too():
    rows = frequency_table(GOLD, SCORES, TRAIN_COUNTS, 0.5, options("present"))
    assert [(row["group"], row["codes"], row["gold"], row["f1_micro"]) for row in rows] == [
        ("1-10", 1, 2, 1.0), ("11+", 1, 2, 0.5),
    ]  # fmt: skip
    usual = frequency_table(GOLD, SCORES, TRAIN_COUNTS, 0.5, options("all"))
    assert [(row["group"], row["codes"], row["f1_micro"]) for row in usual] == [("1-10", 2, 2 / 3), ("11+", 1, 0.4)]
    linked = np.array([False, True, True])
    rows = linkage_table(GOLD, SCORES, TRAIN_COUNTS, 0.5, options("present"), "icd9", linked)
    assert [(row["group"], row["linked"], row["codes"]) for row in rows] == [("1-10", "yes", 1), ("11+", "no", 1)]
