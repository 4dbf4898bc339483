"""Document attention: all labels share one attention."""

from __future__ import annotations

import torch

from medcode.layers.masks import position_mask
from medcode.models.fusion import DocumentAttention


def test_all_labels_share_weights_that_are_zero_at_padding():
    torch.manual_seed(0)
    layer, h = DocumentAttention(4, 3), torch.randn(2, 6, 4)
    mask = position_mask(torch.tensor([6, 2]), 6)
    weights = layer.weights(h, mask)
    assert weights.shape == (2, 3, 6) and not weights[1, :, 2:].any()
    assert torch.equal(weights[:, 0], weights[:, 2])
    expected = torch.stack([layer.output(weights[row, 0] @ h[row]) for row in range(2)])
    torch.testing.assert_close(layer(h, mask), expected)
