"""Convolutions agree with torch's, forward and backward, in any layout."""

from __future__ import annotations

import pytest
import torch
from gpu import needs_gpu
from torch import nn

from medcode.layers import convolution
from medcode.layers.convolution import Convolution, TransposedConvolution, convolve_padded, pad_before


@pytest.mark.parametrize("turned", [False, True], ids=["features first", "positions first"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "padding", "dilation"), [(1, 0, 1), (10, 5, 1), (3, 1, 1), (2, 0, 4), (4, 3, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_convolution_equals_torch(monkeypatch, batch, kernel, padding, dilation, bias, turned):
    monkeypatch.setattr(convolution, "WINDOWS", 5)  # so that documents and windows have several parts
    monkeypatch.setattr(convolution, "COPIED", 5 * 6 * 3)
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
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (4, 0), (2, 1), (1, 0)])
def test_transposed_convolution_equals_torch(kernel, padding, bias):
    torch.manual_seed(1)
    layer = TransposedConvolution(6, 5, kernel, padding=padding, bias=bias).double()
    plain = nn.ConvTranspose1d(6, 5, kernel, padding=padding, bias=bias).double()
    plain.load_state_dict(layer.state_dict())
    inputs = [torch.randn(3, 6, 17, dtype=torch.double).requires_grad_()] * 2
    results = []
    for module, x in zip((layer, plain), inputs, strict=True):
        y = module(x)
        results.append([y, *torch.autograd.grad(y.sin().sum(), (x, *module.parameters()))])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_autocast_rounds_a_convolution_on_a_cpu():
    torch.manual_seed(1)
    layer, x = Convolution(6, 5, 3), torch.randn(2, 6, 9)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), rtol=2e-2, atol=2e-2)
    y.sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_zeros_are_put_before_a_document_in_the_layout_of_convolutions():
    x = torch.randn(2, 3, 4)
    y = pad_before(x, 2)
    assert torch.equal(y, nn.functional.pad(x, (2, 0)))
    assert y.transpose(1, 2).is_contiguous()


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
