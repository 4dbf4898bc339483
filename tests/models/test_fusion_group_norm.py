"""Group normalization: each document as torch normalizes its words alone."""

from __future__ import annotations

import torch
from torch import nn

from medcode.layers.masks import position_mask
from medcode.models.fusion import MaskedGroupNorm


def test_a_padded_document_is_normalized_as_its_words_alone():
    torch.manual_seed(0)
    ours, theirs = MaskedGroupNorm(5), nn.GroupNorm(1, 5)
    for layer in (ours, theirs):
        layer.weight.data, layer.bias.data = torch.linspace(0.5, 2, 5), torch.linspace(-1, 1, 5)
    lengths, x = [7, 1, 4], torch.randn(3, 5, 7) * 3 + 1
    found = ours(x, position_mask(torch.tensor(lengths), 7))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :, :length], theirs(x[row : row + 1, :, :length])[0])
    torch.testing.assert_close(ours(x, None), theirs(x))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
