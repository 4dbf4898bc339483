"""CAML's convolution: padding on both sides, and one position more for an even kernel."""

from __future__ import annotations

import pytest
import torch

from medcode.layers.tanh_convolution import TanhConvolution


@pytest.mark.parametrize(("kernel", "extra"), [(3, 0), (10, 1), (1, 0), (2, 1)])
def test_an_even_kernel_adds_one_position(kernel, extra):
    layer = TanhConvolution(4, 3, kernel)
    out = layer(torch.randn(2, 4, 7) * 100)
    assert out.shape == (2, 3, 7 + extra) and layer.extra == extra
    assert out.abs().max() <= 1
