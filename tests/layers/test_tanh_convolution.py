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


@pytest.mark.parametrize("kernel", range(1, 7))
def test_windows_around_a_word_are_in_the_middle_of_those_that_read_it(kernel):
    layer, x = TanhConvolution(4, 3, kernel), torch.randn(1, 4, 15)
    for word in range(kernel, 15 - kernel):
        changed = x.clone()
        changed[:, :, word] += 1
        reading = (layer(x) != layer(changed)).any(1)[0].nonzero().flatten()
        around = layer.windows_around(torch.arange(15) == word).nonzero().flatten()
        assert len(reading) == kernel and len(around) == 1 + layer.extra
        assert around.float().mean() == reading.float().mean()
