"""A linear classifier on one pooled vector per document."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medcode.layers.dropout import Dropout


class PooledClassifier(nn.Module):
    """Dropout and a linear layer on the first position of a document, or on the maximum over all positions.

    Source: the BERT study (Ji et al. 2021), section 3.2; for the maximum, code derived from theirs.

    Args:
        features: D.
        labels: Y.
        pooling: first, max.
        dropout: probability that a value of the pooled vector is dropped.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int, pooling: Literal["first", "max"], dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(features, labels)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        if self.pooling == "first":
            document = features[:, 0]
        else:
            real = features if mask is None else features.masked_fill(~mask.unsqueeze(2), -torch.inf)
            document = real.amax(1)
        return self.output(self.dropout(document))
