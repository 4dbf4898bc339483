"""Masked group normalization equals torch's on the words without padding."""

from __future__ import annotations

import torch
from torch import nn

from medcode.layers.masks import position_mask
from medcode.models.fusion import MaskedGroupNorm


def test_padding_does_not_change_normalized_words():
    torch.manual_seed(0)
    masked, reference = MaskedGroupNorm(5), nn.GroupNorm(1, 5)
    for layer in (masked, reference):
        layer.weight.data, layer.bias.data = torch.linspace(0.5, 2, 5), torch.linspace(-1, 1, 5)
    lengths, x = [7, 1, 4], torch.randn(3, 5, 7) * 3 + 1
    actual = masked(x, position_mask(torch.tensor(lengths), 7))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(actual[row, :, :length], reference(x[row : row + 1, :, :length])[0])
    torch.testing.assert_close(masked(x, None), reference(x))
    assert masked.state_dict().keys() == reference.state_dict().keys()
