"""Cross entropy of each code: what rare and frequent codes cost a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

COLUMNS = ("head", "rank", "code", "train_documents", "loss", "normalised_loss")
# A code with fewer training documents is not named: a rare code may tell of a single patient.
NAMED_FROM = 10


def label_losses(gold: sparse.csr_matrix | sparse.csr_array, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean binary cross entropy of each label over the documents, as it is and normalised.

    Normalised means divided by the entropy of the label's share of the documents, which is the cross entropy of giving
    every document that share: 1 is what a model has that knows no more than how frequent a code is. The figure of
    MARN's authors does not say how theirs is normalised.

    Args:
        gold: 0/1, [documents, labels].
        logits: float32 [documents, labels].

    Returns:
        Both float64 [labels]; the normalised one is NaN where no document, or each, has the label.
    """
    documents = max(len(logits), 1)
    given = np.asarray(gold.sum(0), dtype=np.float64).ravel()
    # log(1 + exp(x)) - y x, the cross entropy of a logit.
    loss = np.logaddexp(0, logits).sum(0, dtype=np.float64) - np.asarray(gold.multiply(logits).sum(0)).ravel()
    loss, share = loss / documents, given / documents
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(share * np.log(share) + (1 - share) * np.log1p(-share))
        return loss, loss / entropy


def loss_table(
    gold: sparse.csr_matrix | sparse.csr_array, logits: np.ndarray, labels: Sequence[dict[str, Any]], head: str
) -> list[dict[str, Any]]:
    """One row a label, the most frequent in training first: `COLUMNS`.

    Args:
        gold: 0/1, [documents, labels].
        logits: float32 [documents, labels].
        labels: system, code and train_documents of each.
        head: name of the label space.
    """
    loss, normalised = label_losses(gold, logits)
    order = sorted(range(len(labels)), key=lambda number: -labels[number]["train_documents"])
    return [
        {
            "head": head,
            "rank": rank,
            "code": name_of(labels[number]),
            "train_documents": labels[number]["train_documents"],
            "loss": float(loss[number]),
            "normalised_loss": "" if np.isnan(normalised[number]) else float(normalised[number]),
        }
        for rank, number in enumerate(order, start=1)
    ]


def name_of(label: dict[str, Any]) -> str:
    """System and code of a label; nothing where it is too rare to be named."""
    return f"{label['system']} {label['code']}" if label["train_documents"] >= NAMED_FROM else ""
