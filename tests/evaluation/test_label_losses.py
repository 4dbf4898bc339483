"""Cross entropy of each code against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from medcode.evaluation.label_losses import COLUMNS, label_losses, loss_table

GOLD = sparse.csr_matrix(np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 1]], dtype=np.uint8))
LOGITS = np.array([[2, -1, 0], [0.5, -3, 4], [-1, 0, 1], [-2, -90, 100]], dtype=np.float32)
LABELS = [{"system": "icd9cm", "code": f"{n}", "train_documents": k} for n, k in ((401, 12), (402, 3), (403, 40))]


def entropy(share: float) -> float:
    return -share * math.log(share) - (1 - share) * math.log(1 - share)


def test_the_loss_is_the_mean_over_documents():
    loss, normalized = label_losses(GOLD, LOGITS)
    first = [
        math.log(1 + math.exp(-2)),
        math.log(1 + math.exp(-0.5)),
        math.log(1 + math.exp(-1)),
        math.log(1 + math.exp(-2)),
    ]
    assert loss[0] == pytest.approx(sum(first) / 4)
    assert normalized[0] == pytest.approx(sum(first) / 4 / entropy(0.5))
    assert np.isnan(normalized[1]) and loss[1] == pytest.approx(
        (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-3)) + math.log(2)) / 4
    )
    assert np.isfinite(loss).all()


def test_predicting_the_share_of_a_code_gives_normalized_loss_one():
    gold = sparse.csr_matrix(np.array([[1], [0], [0], [0], [0]], dtype=np.uint8))
    logits = np.full((5, 1), math.log(0.2 / 0.8), dtype=np.float32)
    assert label_losses(gold, logits)[1].tolist() == pytest.approx([1])


def test_rows_are_sorted_by_frequency_and_rare_codes_are_not_named():
    rows = loss_table(GOLD, LOGITS, LABELS, "icd")
    assert [(row["rank"], row["code"], row["train_documents"]) for row in rows] == [
        (1, "icd9cm 403", 40),
        (2, "icd9cm 401", 12),
        (3, "", 3),
    ]
    assert rows[2]["normalized_loss"] == "" and rows[0]["normalized_loss"] > 0
    assert all(tuple(row) == COLUMNS for row in rows)
