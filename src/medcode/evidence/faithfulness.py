"""Faithfulness: what the model says of a note without the tokens with the largest weights, and of these alone.

Source: DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", section 4; relative to the
probability of the whole note as in Edin et al. 2024, and its code.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medcode.evidence.hiding import hidden_logits
from medcode.evidence.label_subset import only_labels
from medcode.models.base import Model

DECILES = np.arange(1, 10) / 10


def decile_sizes(n_tokens: int) -> np.ndarray:
    """Return how many tokens are 10, 20, ..., 90 % of all, rounded up, int64 [9]."""
    return np.ceil(n_tokens * DECILES - 1e-9).astype(np.int64)


def faithfulness(
    model: Model, tokens: np.ndarray, slices: np.ndarray, head: str, labels: np.ndarray, weights: np.ndarray,
    sizes: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return comprehensiveness and sufficiency of the weights of a note's tokens.

    With p the probability of the code, and for each size k the k tokens with the largest weights, the earlier of equal
    ones first:

        comprehensiveness = mean_k (p(all) - p(without the k)) / p(all)              higher is better
        sufficiency       = mean_k max(0, p(all) - p(the k alone)) / p(all)          lower is better

    A token that is taken away has the vector of padding; a model without word vectors reads the note without it.

    Args:
        model: in evaluation mode.
        tokens: ids of the note, int [N].
        slices: start and end of what the model reads of it, int [S, 2]: the note, or its sentences, of which the best
            counts.
        head: a head of the model.
        labels: indices of K of its labels, int [K].
        weights: [K, N].
        sizes: numbers of tokens k, int [J]; None takes `decile_sizes`.

    Returns:
        Both by their names, float64 [K].
    """
    sizes = decile_sizes(len(tokens)) if sizes is None else sizes
    order = np.argsort(-weights, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")  # of each token
    largest = rank[:, None] < sizes[:, None]  # [K, J, N]
    none = np.zeros((len(labels), 1, len(tokens)), bool)
    hidden = np.concatenate([none, largest, ~largest], axis=1)
    device = next(model.parameters()).device
    with only_labels(model, head, torch.from_numpy(np.asarray(labels, np.int64)).to(device)) as kept:
        logits = _best_logits(model, tokens, slices, head, kept, hidden)
    whole, without, alone = np.split(logits.cpu().double().sigmoid().numpy(), [1, 1 + len(sizes)], axis=1)
    return {
        "comprehensiveness": ((whole - without) / whole).mean(axis=1),
        "sufficiency": (np.maximum(whole - alone, 0) / whole).mean(axis=1),
    }


def _best_logits(
    model: Model, tokens: np.ndarray, slices: np.ndarray, head: str, labels: Tensor, hidden: np.ndarray
) -> Tensor:
    """Return the highest logit of all slices: of each label and its own ways of hiding tokens, [K, J, N] -> [K, J]."""
    best = torch.full(hidden.shape[:2], -torch.inf, device=labels.device)
    own = torch.arange(len(labels), device=labels.device)[:, None].expand(hidden.shape[:2]).flatten()
    for start, end in slices.tolist():
        if start == end:
            continue
        ids = torch.from_numpy(tokens[start:end].astype(np.int64)).to(labels.device)
        ways = torch.from_numpy(hidden[..., start:end].reshape(-1, end - start)).to(labels.device)
        different, number = ways.unique(dim=0, return_inverse=True)  # of a sentence many are alike
        logits = hidden_logits(model, ids, head, labels, different)
        best = torch.maximum(best, logits[number, own].view(best.shape))
    return best
