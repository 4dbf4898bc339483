"""One attention for all labels, Fusion's ablation of label attention."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.layers.masks import masked_softmax


class DocumentAttention(nn.Module):
    """A single query reads the document, and a linear layer scores every label from what it read.

    Source: Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression", section 4.5, "DocLevel".

        a = softmax_n(u . h_n),   logit = W (sum_n a_n h_n) + b

    Args:
        features: D.
        labels: Y.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.query = nn.Linear(features, 1, bias=False)
        self.output = nn.Linear(features, labels)
        nn.init.xavier_uniform_(self.query.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def weights(self, features: Tensor, mask: Tensor | None, *, labels: Tensor | None = None) -> Tensor:
        """Attention over the positions, the same for every label, or for these: [B, N, D] -> fp32 [B, Y, N]."""
        count = self.output.out_features if labels is None else len(labels)
        return self._weights(features, mask).expand(-1, count, -1)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        document = self._weights(features, mask).to(features.dtype) @ features  # [B, 1, D]
        return self.output(document.squeeze(1))

    def _weights(self, features: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(self.query(features).transpose(1, 2), mask)  # [B, 1, N]
