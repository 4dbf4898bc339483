"""Label attention: every label attends to the positions of a document with separate weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.fused_attention import fused_attention, should_fuse
from medcode.layers.masks import masked_softmax


class LabelAttention(nn.Module):
    """Label attention of CAML with one output vector per label.

    Source: Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text", section 2.2; the
    authors' code.

        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    The context sum_n a_yn h_n, [B, Y, D], is needed only for its product with w_y. So the sum is over the scalars
    w_y . h_n: the same result without the largest tensor. `logits_from_context` is the plain form. For many labels the
    sum streams over the positions (`fused_attention`), with the same logits up to rounding.

    The queries have an unused bias, as in the authors' code: softmax is invariant to it. It is kept so that parameters
    count as published, and never gets a gradient.

    Args:
        features: D.
        labels: Y.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y]. `queries` [Y, D] replace those of the layer.
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.queries = nn.Linear(features, labels)
        self.output = nn.Linear(features, labels)
        nn.init.xavier_uniform_(self.queries.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def keys(self, features: Tensor) -> Tensor:
        """Return the keys of the attention: the features themselves, [B, N, D]."""
        return features

    def weights(
        self, features: Tensor, mask: Tensor | None, queries: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return the attention of all labels, or of those with the indices `labels`: [B, N, D] -> fp32 [B, Y, N].

        Args:
            labels: int [Y'] for all documents alike, or int [B, Y'] for each document its own.
        """
        queries = self.queries.weight if queries is None else queries
        queries = queries if labels is None else queries[labels]
        return masked_softmax(queries @ features.transpose(1, 2), mask)

    def forward(self, features: Tensor, mask: Tensor | None, queries: Tensor | None = None) -> Tensor:
        if should_fuse(self.output.out_features, features):
            queries = self.queries.weight if queries is None else queries
            features = features.contiguous()
            return fused_attention(queries, features, features, self.output.weight, mask) + self.output.bias
        values = self.output.weight @ features.transpose(1, 2)  # [B, Y, N]
        return (self.weights(features, mask, queries) * values.float()).sum(2) + self.output.bias  # [B, Y]

    def logits_from_context(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """Compute the logits from context vectors, as published: the oracle for `forward`."""
        context = self.weights(features, mask).to(features.dtype) @ features  # [B, Y, D]
        return (context * self.output.weight).sum(2) + self.output.bias


def label_attention_heads(features: int, heads: dict[str, int]) -> nn.ModuleDict:
    """Build one label attention per head, on the same features."""
    return nn.ModuleDict({head: LabelAttention(features, labels) for head, labels in heads.items()})


def run_heads(heads: nn.ModuleDict, features: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """Return the logits of every head, {head: [B, Y]}. Heads with many labels are computed as one."""
    layers = list(heads.values())
    joined = len(layers) > 1 and all(type(layer) is LabelAttention for layer in layers)
    labels = [layer.output.out_features for layer in layers] if joined else []
    if not joined or not should_fuse(sum(labels), features):
        return {name: head(features, mask) for name, head in heads.items()}
    queries = torch.cat([layer.queries.weight for layer in layers])
    outputs = torch.cat([layer.output.weight for layer in layers])
    bias = torch.cat([layer.output.bias for layer in layers])
    features = features.contiguous()
    logits = fused_attention(queries, features, features, outputs, mask) + bias
    return dict(zip(heads, logits.split(labels, dim=1), strict=True))


def attend_heads(
    heads: nn.ModuleDict, features: Tensor, mask: Tensor | None, labels: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the attention of every head, or of some labels of some heads: {head: fp32 [B, Y, N]}.

    Args:
        heads: label attention by head.
        features, mask: of the documents, [B, N, D] and bool [B, N] or None.
        labels: {head: indices of the labels, int [Y'] for all documents alike or int [B, Y'] for each its own}.
    """
    if labels is not None:
        return {name: heads[name].weights(features, mask, labels=indices) for name, indices in labels.items()}
    return {name: head.weights(features, mask) for name, head in heads.items()}
