"""Scores of documents, in batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from medcode.dataset.arrays import Fragments, Split
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


def score_split(
    model: Model, tokens: np.ndarray, split: Split, max_tokens: int, batch_size: int, precision: str = "auto"
) -> dict[str, np.ndarray]:
    """Return the logits of every document of a split and label: of its fragments the highest, if the split has any.

    Args:
        split: the documents.
        model, tokens, max_tokens, batch_size, precision: as for `score`.

    Returns:
        {head: float32 [n, Y]}.
    """
    notes = split_notes(tokens, split, max_tokens, next(model.parameters()).device)
    return score_documents(model, notes, batch_size, precision, split.fragments)


def split_notes(tokens: np.ndarray, split: Split, max_tokens: int, device: torch.device) -> DeviceNotes:
    """Return what a model reads of a split: its documents or, if it has any, their fragments."""
    offsets = split.offsets if split.fragments is None else split.fragments.offsets
    return DeviceNotes(tokens, offsets, max_tokens, device)


@torch.inference_mode()
def score_documents(
    model: Model, notes: DeviceNotes, batch_size: int, precision: str = "auto", fragments: Fragments | None = None
) -> dict[str, np.ndarray]:
    """Return the logits of every document and label, for notes on the model's device.

    Args:
        notes: the documents, or their fragments.
        fragments: those of the notes, whose documents get their highest logits; None if the notes are documents.
        model, batch_size, precision: as for `score`.

    Returns:
        {head: float32 [n, Y]}.
    """
    model.eval()
    documents = np.arange(len(notes)) if fragments is None else fragments.documents
    n = len(np.unique(documents))
    scores = {head: np.full((n, labels), -np.inf, dtype=np.float32) for head, labels in model.heads.items()}
    deferred: list[tuple[str, np.ndarray, AsyncHostCopy]] = []
    for batch in scoring_batches(notes.lengths, batch_size, padding=model.config.masked):
        tokens, lengths = notes.gather(to_device(batch.documents, notes.device), batch.length)
        with autocast(notes.device, precision):
            logits = model(tokens, lengths)
        rows = documents[batch.documents]
        previous, deferred = deferred, [(head, rows, AsyncHostCopy(x.float())) for head, x in logits.items()]
        _flush(scores, previous)  # while the device computes this batch
    _flush(scores, deferred)
    return scores


def _flush(scores: dict[str, np.ndarray], deferred: list[tuple[str, np.ndarray, AsyncHostCopy]]) -> None:
    for head, documents, values in deferred:
        raise_to(scores[head], documents, values.read().numpy())


def raise_to(scores: np.ndarray, documents: np.ndarray, values: np.ndarray) -> None:
    """Raise the scores of some documents to values that are higher, in place; as `np.maximum.at`, but much faster.

    Args:
        scores: [n, Y].
        documents: the document of each row of values [m]; one may come several times.
        values: [m, Y].
    """
    order = np.argsort(documents, kind="stable")
    names, first = np.unique(documents[order], return_index=True)
    if len(names) < len(documents):
        documents, values = names, np.maximum.reduceat(values[order], first, axis=0)
    scores[documents] = np.maximum(scores[documents], values)


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
