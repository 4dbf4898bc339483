"""Multi-synonyms attention: a head for each term of a label."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.masks import masked_softmax

QUERY_SCALE = 20.0  # as `training.label_init`


class SynonymAttention(nn.Module):
    """Attention with a head for each term of a label, and the maximum over the heads.

    Source: Yuan et al. 2022, "Code Synonyms Do Matter: Multiple Synonyms Matching Network for Automatic ICD Coding",
    equations of the multi-synonyms attention; the authors' code, whose layers have biases.

        m_y = max_j sum_n softmax_n((U t_yj + u) . tanh(W h_n + w)_j) h_n

    Args:
        features: D.
        heads: m, a divisor of D.

    Shapes: keys [B, m, N, D / m], features [B, N, D], bool [B, N] or None, terms [Y, m, D] -> [B, Y, D].
    """

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(features, features)
        self.query = nn.Linear(features, features // heads)
        nn.init.xavier_uniform_(self.projection.weight)

    def keys(self, features: Tensor) -> Tensor:
        """Return the keys of every head, [B, N, D] -> [B, m, N, D / m]."""
        return torch.tanh(self.projection(features)).unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, keys: Tensor, features: Tensor, mask: Tensor | None, terms: Tensor) -> Tensor:
        queries = self.query(terms).transpose(0, 1).expand(len(keys), -1, -1, -1)  # [B, m, Y, D / m]
        values = features.unsqueeze(1).expand(-1, self.heads, -1, -1)
        real = None if mask is None else mask[:, None, None]
        contexts = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=real, scale=1.0)
        return contexts.amax(1)

    def weights(self, keys: Tensor, mask: Tensor | None, terms: Tensor) -> Tensor:
        """Return the mean attention of the heads: terms [Y, m, D], or [B, Y, m, D] -> fp32 [B, Y, N]."""
        queries = self.query(terms)
        of_heads = [masked_softmax(queries[..., j, :] @ keys[:, j].mT, mask) for j in range(self.heads)]
        return torch.stack(of_heads).mean(0)

    @torch.no_grad()
    def start_tied(self, words: Tensor, terms: Tensor) -> None:
        """Initialize keys and queries as the same map, in place, so that terms search for words like theirs.

        The map is random, and the same in all heads. Its inputs are centered, the keys of words have a root mean square
        of one, and words that equal a term score QUERY_SCALE.

        Args:
            words: features of the words of terms, [n, D].
            terms: vectors of terms, [M, D].
        """
        shared = nn.init.orthogonal_(torch.empty_like(self.query.weight))  # [D / m, D]
        mean, center = words.mean(0), terms.mean(0)
        shared /= ((words - mean) @ shared.T).square().mean().sqrt()
        self.projection.weight.copy_(shared.repeat(self.heads, 1))
        self.projection.bias.copy_(-(shared @ mean).repeat(self.heads))
        norms = [torch.tanh((words - mean) @ shared.T).norm(dim=1), ((terms - center) @ shared.T).norm(dim=1)]
        scale = QUERY_SCALE / (norms[0].mean() * norms[1].mean())
        self.query.weight.copy_(scale * shared)
        self.query.bias.copy_(-scale * (shared @ center))
