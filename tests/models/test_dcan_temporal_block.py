"""DCAN's block: causal, with weights normalized by output feature."""

from __future__ import annotations

import math

import pytest
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


def test_weights_start_as_in_the_authors_code():
    """Uniform in +-1 / sqrt(200) and +-1 / sqrt(1200), so that a filter's norm is 1 / sqrt(3); Xavier's shortcut."""
    torch.manual_seed(0)
    block = TemporalBlock(100, 600, 2, 1, 0.2)
    for layer, inputs in ((block.first, 100), (block.second, 600)):
        bound = 1 / math.sqrt(2 * inputs)
        weight = layer.weight.detach()
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
        assert 0.99 * bound < weight.abs().max().item() <= 1.0001 * bound
        assert layer.parametrizations.weight.original0.mean().item() == pytest.approx(1 / math.sqrt(3), rel=0.01)
        assert layer.bias.abs().max().item() <= bound
    assert block.first.weight.std().item() == pytest.approx(0.041, abs=5e-4)
    bound = math.sqrt(6 / 700)
    assert 0.99 * bound < block.shortcut.weight.abs().max().item() <= bound
    assert block.shortcut.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_xaviers_call_changes_nothing_under_torchs_older_weight_norm():
    """Why the authors' convolutions keep torch's weights: what they fill is made anew at every call."""
    torch.manual_seed(0)
    layer = torch.nn.utils.weight_norm(nn.Conv1d(3, 4, 2))
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    nn.init.xavier_uniform_(layer.weight)
    x = torch.randn(1, 3, 5)
    after = layer(x)
    direction = before["weight_v"]
    weight = before["weight_g"] * direction / direction.norm(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(after, nn.functional.conv1d(x, weight, before["bias"]))
