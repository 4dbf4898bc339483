"""R-Drop: how far two passes of one batch under different dropout masks are apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Distribution = Literal["softmax", "bernoulli"]


def rdrop(first: Tensor, second: Tensor, distribution: Distribution = "softmax") -> Tensor:
    """Return the symmetric divergence of two logits of each document, a mean over its labels.

    Source: Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks". The code of MSMN, CoRelation and
    GKI-ICD takes the softmax over the labels, although a document has several, and their weights are for this form:

        (KL(p || q) + KL(q || p)) / 2 Y,   p = softmax(first), q = softmax(second)

    Args:
        first, second: logits, [B, Y].
        distribution: softmax: as above; bernoulli: each label is a distribution of its own, p = sigmoid(first).

    Shapes: [B, Y], [B, Y] -> fp32 [B].
    """
    if distribution == "softmax":
        log_p, log_q = (torch.log_softmax(logits.float(), dim=1) for logits in (first, second))
        # KL(p || q) + KL(q || p) is the sum of (p - q) (log p - log q).
        return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).mean(1) / 2
    first, second = first.float(), second.float()
    # The same for p and 1 - p, whose log odds are the logits.
    return ((first.sigmoid() - second.sigmoid()) * (first - second)).mean(1) / 2


def cosine_distance(first: Tensor, second: Tensor, gold: Tensor) -> Tensor:
    """Return one minus the mean cosine of vectors of each document's gold labels; 0 without a gold label.

    Source: the similarity loss of Zhang et al. 2025 (GKI-ICD).

    Args:
        first, second: context vectors of labels, [B, Y, D].
        gold: 0 or 1, [B, Y].

    Shapes: -> fp32 [B].
    """
    distance = 1 - nn.functional.cosine_similarity(first.float(), second.float(), dim=2)
    return (distance * gold).sum(1) / gold.sum(1).clamp(min=1)
