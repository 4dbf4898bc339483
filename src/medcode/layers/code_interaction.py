"""GatedCNN-NCI's output: words and codes exchange messages on a bipartite graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.word_embedding import PAD


class CodeInteraction(nn.Module):
    """Note-code interaction.

    Source: Ji et al. 2021, "Medical Code Assignment with Gated Convolution and Note-Code Interaction".

        m_y = sum_n (d_y . h_n) h_n,   logit_y = p . (w_y * m_y + b_y)

    There is no softmax, so the sum over positions is taken first: m_y = (sum_n h_n h_n^T) d_y. As in label attention
    the queries d have a bias that is never used, kept so that parameters count as in the port.

    Args:
        features: D.
        labels: Y.

    Shapes: [B, D, N], zero where there is a pad -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.queries = nn.Linear(features, labels)
        self.output = nn.Linear(features, labels)
        self.projection = nn.Linear(features, 1, bias=False)
        nn.init.xavier_uniform_(self.queries.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def fix_queries(self, vectors: Tensor) -> None:
        """Takes these vectors for d, [Y, D], and does not train them."""
        with torch.no_grad():
            self.queries.weight.copy_(vectors)
        self.queries.weight.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        products = features @ features.transpose(1, 2)  # [B, D, D], symmetric
        messages = nn.functional.linear(products, self.queries.weight).transpose(1, 2)  # [B, Y, D]
        weights = self.output.weight * self.projection.weight  # [Y, D]
        return (messages.float() * weights).sum(2) + self.output.bias * self.projection.weight.sum()


def mean_vectors(table: Tensor, words: Tensor) -> Tensor:
    """Mean word vector of each text: table [rows, E], words int [Y, T] padded with 0 -> [Y, E]; zero without words."""
    with torch.no_grad():
        real = (words != PAD).unsqueeze(2)
        return (table[words] * real).sum(1) / real.sum(1).clamp(min=1)
