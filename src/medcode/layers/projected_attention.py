"""LAAT's label attention: labels attend to a projection of the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.fused_attention import fused_attention, should_fuse
from medcode.layers.masks import masked_softmax


class ProjectedLabelAttention(nn.Module):
    """Label attention of LAAT with one output vector per label.

    Source: Vu et al. 2020, "A Label Attention Model for ICD Coding from Clinical Text", section 3.3 and, for `extra`,
    3.5; the authors' code.

        a_y = softmax_n(u_y . tanh(W h_n)),   logit_y = w_y . [sum_n a_yn h_n; s] + b_y

    As in `LabelAttention`, the sum is over the scalars w_y . h_n instead of context vectors, and for many labels it
    streams over the positions (`fused_attention`).

    Args:
        features: D.
        projection: rows of W.
        labels: Y.
        extra: size of s, an additional vector of the document; 0 for none.

    Shapes: [B, N, D], bool [B, N] or None, s [B, extra] or None -> logits [B, Y]. `queries` [Y, projection] replace
        those of the layer.
    """

    def __init__(self, features: int, projection: int, labels: int, extra: int = 0) -> None:
        super().__init__()
        self.features = features
        self.projection = nn.Linear(features, projection, bias=False)
        self.queries = nn.Linear(projection, labels, bias=False)
        self.output = nn.Linear(features + extra, labels)
        for layer in (self.projection, self.queries, self.output):
            nn.init.normal_(layer.weight, std=0.03)

    def keys(self, features: Tensor) -> Tensor:
        """Return the keys of the attention: [B, N, D] -> [B, N, projection]."""
        return torch.tanh(self.projection(features))

    def weights(
        self, features: Tensor, mask: Tensor | None, queries: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return the attention of all labels, or of those with the indices `labels`: [B, N, D] -> fp32 [B, Y, N].

        Args:
            labels: int [Y'] for all documents alike, or int [B, Y'] for each document its own.
        """
        queries = self.queries.weight if queries is None else queries
        queries = queries if labels is None else queries[labels]
        return masked_softmax(queries @ self.keys(features).transpose(1, 2), mask)

    def forward(
        self, features: Tensor, mask: Tensor | None, extra: Tensor | None = None, queries: Tensor | None = None
    ) -> Tensor:
        weight, extra_weight = self.output.weight.split([self.features, self.output.in_features - self.features], dim=1)
        if should_fuse(self.output.out_features, features):
            queries = self.queries.weight if queries is None else queries
            logits = fused_attention(queries, self.keys(features), features, weight, mask) + self.output.bias
        else:
            values = weight @ features.transpose(1, 2)  # [B, Y, N]
            logits = (self.weights(features, mask, queries) * values.float()).sum(2) + self.output.bias
        return logits if extra is None else logits + nn.functional.linear(extra, extra_weight)
