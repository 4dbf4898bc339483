"""DCAN's block: causal, with weights normalized by output feature."""

from __future__ import annotations

import torch
from torch import nn

from medcode.models.dcan import CausalConvolution, TemporalBlock


def test_a_causal_convolution_equals_a_padded_one_without_its_end():
    torch.manual_seed(0)
    layer, x = CausalConvolution(3, 4, 2, dilation=4), torch.randn(2, 3, 11)
    two_sided = nn.functional.conv1d(x, layer.weight, layer.bias, padding=4, dilation=4)
    torch.testing.assert_close(layer(x), two_sided[:, :, :-4])


def test_only_a_change_of_width_needs_a_shortcut_with_weights():
    def count(inputs: int) -> int:
        return sum(p.numel() for p in TemporalBlock(inputs, 600, 2, 1, 0.2).parameters())

    assert count(600) == 2 * (600 * 600 * 2 + 600 + 600)
    assert count(100) == 600 * 100 * 2 + 600 * 600 * 2 + 2 * (600 + 600) + 100 * 600 + 600


def test_weight_normalization_has_a_separate_norm_parameter():
    block = TemporalBlock(3, 4, 2, 1, 0.0)
    x = torch.randn(1, 3, 5)
    before = block(x)
    with torch.no_grad():
        block.first.parametrizations.weight.original1.mul_(7)
    torch.testing.assert_close(block(x), before)
