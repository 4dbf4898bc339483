"""Scores of documents, in batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from medcode.engine.batches import scoring_batches
from medcode.engine.device_data import DeviceNotes
from medcode.engine.precision import autocast
from medcode.engine.transfer import AsyncHostCopy, to_device
from medcode.models.base import Model


def score(
    model: Model, tokens: np.ndarray, offsets: np.ndarray, max_tokens: int, batch_size: int, precision: str = "auto"
) -> dict[str, np.ndarray]:
    """Return the logits of every document and label.

    Args:
        model: on its device; left in evaluation mode.
        tokens: ids of the words or subwords of all documents.
        offsets: start and end of each document in `tokens`, [n, 2].
        max_tokens: truncates each document to so many tokens.
        batch_size: documents at a time. A model that does not mask padding gets documents of one length only, so that
            its scores do not depend on the batch.

    Returns:
        {head: float32 [n, Y]}.
    """
    documents = DeviceNotes(tokens, offsets, max_tokens, next(model.parameters()).device)
    return score_documents(model, documents, batch_size, precision)


@torch.inference_mode()
def score_documents(
    model: Model, documents: DeviceNotes, batch_size: int, precision: str = "auto"
) -> dict[str, np.ndarray]:
    """Return the logits of every document and label, as `score` returns them, for documents on the model's device."""
    model.eval()
    scores = {head: np.empty((len(documents), labels), dtype=np.float32) for head, labels in model.heads.items()}
    deferred: list[tuple[str, np.ndarray, AsyncHostCopy]] = []
    for batch in scoring_batches(documents.lengths, batch_size, padding=model.config.masked):
        tokens, lengths = documents.gather(to_device(batch.documents, documents.device), batch.length)
        with autocast(documents.device, precision):
            logits = model(tokens, lengths)
        previous, deferred = deferred, [(head, batch.documents, AsyncHostCopy(x.float())) for head, x in logits.items()]
        _flush(scores, previous)  # while the device computes this batch
    _flush(scores, deferred)
    return scores


def _flush(scores: dict[str, np.ndarray], deferred: list[tuple[str, np.ndarray, AsyncHostCopy]]) -> None:
    for head, documents, values in deferred:
        scores[head][documents] = values.read().numpy()


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the sigmoid of the logits, float32."""
    return torch.from_numpy(logits).sigmoid().numpy()


class MeanProbabilities:
    """The mean of the probabilities of several models, which are added one after another.

    It takes the memory of one model's probabilities, however many there are. The mean of equal numbers is that number,
    to the bit.

    Attributes:
        models: how many were added.
        values: their mean, {head: float32, of the shape that was added}.
    """

    def __init__(self) -> None:
        self.models = 0
        self.values: dict[str, np.ndarray] = {}

    def add(self, values: Mapping[str, np.ndarray]) -> None:
        """Add the probabilities of one more model, by head."""
        self.models += 1
        for head, added in values.items():
            if self.models == 1:
                self.values[head] = added.copy()
            else:
                self.values[head] += (added - self.values[head]) / np.float32(self.models)
