"""Scores of documents, in batches."""

from __future__ import annotations

import numpy as np
import torch

from medcode.models.base import Model
from medcode.training.batches import pad, scoring_batches, truncated_lengths
from medcode.training.precision import autocast


@torch.inference_mode()
def score(
    model: Model, tokens: np.ndarray, offsets: np.ndarray, max_tokens: int, batch_size: int, precision: str = "auto"
) -> dict[str, np.ndarray]:
    """Logits of every document and label.

    Args:
        model: on its device; left in evaluation mode.
        tokens: word numbers of all documents.
        offsets: start and end of each document in `tokens`, [n, 2].
        max_tokens: words read of each document.
        batch_size: documents at a time; a model that lets pads take part gets documents of one length only, so that
            its scores do not depend on the batch.

    Returns:
        {head: float32 [n, Y]}.
    """
    model.eval()
    device = next(model.parameters()).device
    scores = {head: np.empty((len(offsets), labels), dtype=np.float32) for head, labels in model.heads.items()}
    lengths = truncated_lengths(offsets, max_tokens)
    for batch in scoring_batches(lengths, batch_size, padding=model.config.masked):
        words, real = (tensor.to(device) for tensor in pad(tokens, offsets, batch, max_tokens))
        with autocast(device, precision):
            logits = model(words, real)
        for head, values in logits.items():
            scores[head][batch.documents] = values.float().cpu().numpy()
    return scores


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Sigmoid, float32."""
    return torch.from_numpy(logits).sigmoid().numpy()
