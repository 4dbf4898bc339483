"""A small batch normalization, and a padded batch for it."""

from __future__ import annotations

import torch
from torch import nn

from medcode.layers.masks import position_mask

LENGTHS = [9, 1, 4, 6]


def normed(norm_cls: type[nn.BatchNorm1d]) -> nn.BatchNorm1d:
    layer = norm_cls(5)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, 5))
        layer.bias.copy_(torch.linspace(-1, 1, 5))
    return layer.train()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(4, 5, 9, generator=torch.Generator().manual_seed(0)) * 3 + 1
    return x, position_mask(torch.tensor(LENGTHS), 9)
