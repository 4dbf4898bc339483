"""Convolutions agree with torch's, forward and backward, in any layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medcode.layers.convolution import Convolution


@pytest.mark.parametrize("turned", [False, True], ids=["features first", "positions first"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "padding", "dilation"), [(1, 0, 1), (10, 5, 1), (3, 1, 1), (2, 0, 4), (4, 3, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_torchs_convolution(batch, kernel, padding, dilation, bias, turned):
    torch.manual_seed(1)
    layer = Convolution(6, 5, kernel, padding=padding, dilation=dilation, bias=bias).double()
    plain = nn.Conv1d(6, 5, kernel, padding=padding, dilation=dilation, bias=bias).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(batch, 17, 6, dtype=torch.double) if turned else torch.randn(batch, 6, 17, dtype=torch.double)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    found, expected = (
        own(given.transpose(1, 2) if turned else given) for own, given in zip((layer, plain), inputs, strict=True)
    )
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for own, other in zip(layer.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
