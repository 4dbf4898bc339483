"""A transformer encoder layer, and fixed position embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.errors import UserError
from medcode.layers.dropout import Dropout


class TransformerLayer(nn.Module):
    """Post-norm transformer encoder layer.

    Source: Vaswani et al. 2017, section 3.1; Fusion's authors' code for `block_local`.

    Args:
        features: D, a multiple of `heads`.
        heads: number of attention heads.
        feed_forward: width of the feed-forward network.
        block_local: splits heads as Fusion's code, by a view without a transposition: head h sees only the h-th part of
            the positions, each position as `heads` shorter ones. Scores are scaled by floor(D / heads / heads)^-0.5.
        dropout: probability that a value is dropped: of the attention weights, of the outputs of the attention and of
            the feed-forward network, and of the hidden values of the latter, as in torch's layer.

    Shapes: [B, N, D], bool [B, N] or None -> [B, N, D].

    Raises:
        UserError: the heads do not divide the features.
    """

    def __init__(
        self, features: int, heads: int, feed_forward: int, *, block_local: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if features % heads:
            raise UserError(
                f"attention heads: expected a divisor of the {features} features of the layer, found {heads}"
            )
        self.heads, self.block_local = heads, block_local
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)
        self.output = nn.Linear(features, features)
        self.attention_norm = nn.LayerNorm(features)
        self.widen = nn.Linear(features, feed_forward)
        self.narrow = nn.Linear(feed_forward, features)
        self.norm = nn.LayerNorm(features)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.output(self._attend(x, mask))))
        return self.norm(x + self.dropout(self.narrow(self.dropout(torch.relu(self.widen(x))))))

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        batch, positions, features = x.shape
        width = features // self.heads
        parts = [layer(x) for layer in (self.query, self.key, self.value)]
        if self.block_local:
            parts = [part.reshape(batch, self.heads, positions, width) for part in parts]
            scale = max(1, width // self.heads) ** -0.5
        else:
            parts = [part.unflatten(2, (self.heads, width)).transpose(1, 2) for part in parts]  # [B, heads, N, D/heads]
            scale = width**-0.5
        keys = None if mask is None else mask[:, None, None]
        dropout = self.dropout.p if self.training else 0.0
        context = nn.functional.scaled_dot_product_attention(*parts, attn_mask=keys, dropout_p=dropout, scale=scale)
        return context.reshape(x.shape) if self.block_local else context.transpose(1, 2).flatten(2)


class PositionTable(nn.Module):
    """Adds sinusoidal position embeddings.

    Source: Vaswani et al. 2017, section 3.5; Fusion's authors' code, which has a zero row for padding before the first
    position, so one row more than positions. Positions beyond the table are computed by the same formula.

    Args:
        positions: number of rows of the table, without that of padding.
        features: D.

    Shapes: [B, N, D] -> [B, N, D].
    """

    def __init__(self, positions: int, features: int) -> None:
        super().__init__()
        rows = torch.cat([torch.zeros(1, features), sinusoids(0, positions, features)])
        self.table = nn.Parameter(rows, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        positions, rows = x.shape[1], self.table[1:]
        if positions > len(rows):
            # Computed on the device of x, so that a CUDA graph can capture the step; Apple's GPUs have no float64.
            device = torch.device("cpu") if x.device.type == "mps" else x.device
            rows = torch.cat([rows, sinusoids(len(rows), positions, x.shape[2], device).to(rows)])
        return x + rows[:positions]


def sinusoids(first: int, last: int, features: int, device: torch.device | None = None) -> Tensor:
    """Return sines in even columns and cosines in odd ones, for positions first to last - 1: [last - first, D]."""
    column = torch.arange(features, device=device)
    rate = torch.pow(10_000.0, -2.0 * (column // 2).double() / features)  # [D]
    angles = torch.arange(first, last, device=device).double().unsqueeze(1) * rate
    return torch.where(column % 2 == 0, angles.sin(), angles.cos()).float()
