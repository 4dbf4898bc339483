"""Convolutions agree with torch's, forward and backward, in any layout."""

from __future__ import annotations

import pytest
import torch
from gpu import needs_gpu
from torch import nn

from medcode.layers.convolution import Convolution, convolve_padded


@pytest.mark.parametrize("turned", [False, True], ids=["features first", "positions first"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "padding", "dilation"), [(1, 0, 1), (10, 5, 1), (3, 1, 1), (2, 0, 4), (4, 3, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_convolution_equals_torch(batch, kernel, padding, dilation, bias, turned):
    torch.manual_seed(1)
    layer = Convolution(6, 5, kernel, padding=padding, dilation=dilation, bias=bias).double()
    plain = nn.Conv1d(6, 5, kernel, padding=padding, dilation=dilation, bias=bias).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(batch, 17, 6, dtype=torch.double) if turned else torch.randn(batch, 6, 17, dtype=torch.double)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    actual, expected = (
        module(x.transpose(1, 2) if turned else x) for module, x in zip((layer, plain), inputs, strict=True)
    )
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(expected)
    (actual * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for parameter, expected_parameter in zip(layer.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected_parameter.grad)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 8), (6, 5), (16, 5), (6, 8)])
def test_zero_channels_do_not_change_the_output(inputs, outputs, bias):
    torch.manual_seed(1)
    layer = nn.Conv1d(inputs, outputs, 3, padding=2, dilation=2, bias=bias).double()
    words = torch.randn(3, inputs, 17, dtype=torch.double)
    results = []
    for function in (nn.functional.conv1d, convolve_padded):
        x = words.clone().requires_grad_()
        y = function(x, layer.weight, layer.bias, padding=2, dilation=2)
        results.append([y, *torch.autograd.grad(y.sin().sum(), (x, *layer.parameters()))])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


@needs_gpu
def test_on_a_gpu_channels_are_padded_in_bf16():
    torch.manual_seed(1)
    layer, x = Convolution(100, 50, 10, padding=5).cuda(), torch.randn(4, 100, 300, device="cuda")
    expected = nn.functional.conv1d(x.double(), layer.weight.double(), layer.bias.double(), padding=5)
    with torch.autocast("cuda", torch.bfloat16):
        y = layer(x)
    assert y.shape == expected.shape and y.dtype == torch.bfloat16
    assert (y.double() - expected).norm() <= 1e-2 * expected.norm()
