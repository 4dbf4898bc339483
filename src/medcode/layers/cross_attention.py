"""Cross attention of labels: keys and values of their own, and one output vector for all labels or one for each."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.layers.masks import masked_softmax


class CrossLabelAttention(nn.Module):
    """Label attention of PLM-CA.

    Source: Edin et al. 2024, "An Unsupervised Approach to Achieve Supervised-Level Explainability in Healthcare
    Records", and the authors' code; with an output vector for each label Zhang et al. 2025 (GKI-ICD).

        a_y = softmax_n(q_y . K h_n),   m_y = LayerNorm(sum_n a_yn (V h_n + v)),   logit_y = w . m_y + b

    w and b are shared by all labels, or w_y and b_y are those of each. The scores are not divided by the root of D. The
    bias v passes through the attention unchanged, since weights sum to one.

    Args:
        features: D.
        labels: Y.
        shared_output: whether all labels have one w and b.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int, *, shared_output: bool) -> None:
        super().__init__()
        self.key = nn.Linear(features, features, bias=False)
        self.value = nn.Linear(features, features)
        self.queries = nn.Linear(features, labels, bias=False)
        self.norm = nn.LayerNorm(features)
        self.output = nn.Linear(features, 1 if shared_output else labels)
        self.sample_weights(0.03)

    def sample_weights(self, std: float) -> None:
        """Sample all matrices from N(0, std); biases stay as they are."""
        for layer in (self.key, self.value, self.queries, self.output):
            nn.init.normal_(layer.weight, std=std)

    def weights(
        self, features: Tensor, mask: Tensor | None, queries: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return the attention of all labels, or of those with the indices `labels`: [B, N, D] -> fp32 [B, Y, N].

        Args:
            labels: int [Y'] for all documents alike, or int [B, Y'] for each document its own.
        """
        queries = self.queries.weight if queries is None else queries
        queries = queries if labels is None else queries[labels]
        return masked_softmax(queries @ self.key(features).transpose(1, 2), mask)

    def context(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """Return the normalized context vector of every label, [B, N, D] -> [B, Y, D]."""
        values = self.value(features)
        return self.norm(self.weights(features, mask).to(values.dtype) @ values)

    def logits(self, context: Tensor) -> Tensor:
        """Return the logits of context vectors, [B, Y, D] -> [B, Y]."""
        return (context * self.output.weight).sum(2) + self.output.bias

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        return self.logits(self.context(features, mask))
