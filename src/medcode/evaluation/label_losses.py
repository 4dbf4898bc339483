"""Cross entropy of each code, to compare the losses of rare and frequent codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

COLUMNS = ("head", "rank", "code", "train_documents", "loss", "normalized_loss")
# A code with fewer training documents is not named: a rare code may identify a patient.
NAMED_FROM = 10


def label_losses(gold: sparse.csr_matrix | sparse.csr_array, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean binary cross entropy of each label over the documents, raw and normalized.

    The normalized loss is divided by the entropy of the label's share of the documents. That entropy is the loss of a
    model that predicts this share for every document, so such a model has 1. The figure of MARN's authors does not say
    how their loss is normalized.

    Args:
        gold: 0/1, [documents, labels].
        logits: float32 [documents, labels].

    Returns:
        Both float64 [labels]; the normalized one is NaN for a label of no document or of all.
    """
    documents = max(len(logits), 1)
    positives = np.asarray(gold.sum(0), dtype=np.float64).ravel()
    # log(1 + exp(x)) - y x, the cross entropy of a logit.
    loss = np.logaddexp(0, logits).sum(0, dtype=np.float64) - np.asarray(gold.multiply(logits).sum(0)).ravel()
    loss, share = loss / documents, positives / documents
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(share * np.log(share) + (1 - share) * np.log1p(-share))
        return loss, loss / entropy


def loss_table(
    gold: sparse.csr_matrix | sparse.csr_array, logits: np.ndarray, labels: Sequence[dict[str, Any]], head: str
) -> list[dict[str, Any]]:
    """Return one row per label with `COLUMNS`, the most frequent in training first.

    Args:
        gold: 0/1, [documents, labels].
        logits: float32 [documents, labels].
        labels: system, code and train_documents of each.
        head: name of the label space.
    """
    loss, normalized = label_losses(gold, logits)
    order = sorted(range(len(labels)), key=lambda number: -labels[number]["train_documents"])
    return [
        {
            "head": head,
            "rank": rank,
            "code": name_of(labels[number]),
            "train_documents": labels[number]["train_documents"],
            "loss": float(loss[number]),
            "normalized_loss": "" if np.isnan(normalized[number]) else float(normalized[number]),
        }
        for rank, number in enumerate(order, start=1)
    ]


def name_of(label: dict[str, Any]) -> str:
    """Return system and code of a label; empty if it is too rare to be named."""
    return f"{label['system']} {label['code']}" if label["train_documents"] >= NAMED_FROM else ""
