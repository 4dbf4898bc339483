"""LAAT's label attention: the sum over scalars equals the paper's sum over vectors."""

from __future__ import annotations

import pytest
import torch

from medcode.layers.masks import position_mask
from medcode.layers.projected_attention import ProjectedLabelAttention


@pytest.mark.parametrize("extra", [0, 3])
def test_logits_equal_the_published_form(extra):
    torch.manual_seed(0)
    layer = ProjectedLabelAttention(5, 4, 6, extra)
    h, mask = torch.randn(2, 7, 5), position_mask(torch.tensor([7, 2]), 7)
    extra_features = torch.randn(2, extra) if extra else None
    context = layer.weights(h, mask) @ h  # [B, Y, D]
    if extra:
        context = torch.cat([context, extra_features.unsqueeze(1).expand(-1, 6, -1)], dim=2)
    expected = (context * layer.output.weight).sum(2) + layer.output.bias
    torch.testing.assert_close(layer(h, mask, extra_features), expected)


def test_parameters_count_as_published():
    for features, projection, labels in ((512, 256, 50), (1024, 512, 8_921)):
        count = sum(p.numel() for p in ProjectedLabelAttention(features, projection, labels).parameters())
        assert count == features * projection + projection * labels + labels * (features + 1)
