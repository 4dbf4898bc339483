"""Normalisation of each document over its real positions and all features."""

from __future__ import annotations

from torch import Tensor, nn


class MaskedGroupNorm(nn.GroupNorm):
    """Group normalisation with a single group whose statistics are those of real positions alone.

    Source: Wu and He 2018, as torch's GroupNorm(1, D), whose parameters it has.

    Args:
        features: D.

    Shapes: [B, D, N], bool [B, N] or None -> [B, D, N]; the output of a pad means nothing.
    """

    def __init__(self, features: int) -> None:
        super().__init__(1, features)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return super().forward(x)
        real = mask.unsqueeze(1).to(self.weight.dtype)
        values = x.to(self.weight.dtype)  # fp32 where x is bf16
        count = real.sum((1, 2), keepdim=True) * x.shape[1]  # [B, 1, 1]
        mean = (values * real).sum((1, 2), keepdim=True) / count
        centred = (values - mean) * real
        variance = centred.square().sum((1, 2), keepdim=True) / count
        normalised = centred / (variance + self.eps).sqrt()
        return (normalised * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)).to(x.dtype)
