"""Dropout masks do not depend on the number of processes that share a batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medcode.layers.dropout import Dropout, share_batch


@pytest.mark.parametrize("turned", [False, True])
def test_shares_of_a_batch_have_the_dropout_mask_of_the_whole_batch(turned):
    layer, x = Dropout(0.4).train(), torch.randn(5, 7, 3)
    x = x.transpose(1, 2) if turned else x
    torch.manual_seed(1)
    whole = layer(x)
    shares = []
    for start, stop in ((0, 3), (3, 5)):
        share_batch(layer, (start, stop, 5))
        torch.manual_seed(1)
        shares.append(layer(x[start:stop]))
    torch.testing.assert_close(torch.cat(shares), whole)
    assert whole.stride() == x.stride()
    assert (whole == 0).any()


def test_nothing_is_dropped_when_not_training():
    x = torch.randn(2, 3)
    assert torch.equal(Dropout(0.9).eval()(x), x)


def test_values_keep_their_mean():
    torch.manual_seed(0)
    assert abs(Dropout(0.3).train()(torch.ones(200, 200)).mean().item() - 1) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_rate_and_scale_equal_torch(dtype):
    torch.manual_seed(1)
    x = torch.randn(300, 400).to(dtype).requires_grad_()
    output, plain = Dropout(0.3).train()(x), nn.functional.dropout(x, 0.3)
    mask, torch_mask = output != 0, plain != 0
    kept = mask & torch_mask
    assert output.dtype == dtype
    torch.testing.assert_close(output[kept], plain[kept])
    for values in (mask, torch_mask):
        assert abs(values.float().mean().item() - 0.7) < 0.005
    assert abs(mask.float().mean(0) - 0.7).max() < 0.15, "each column alike"
    (gradient,) = torch.autograd.grad(output.sum(), x)
    torch.testing.assert_close(gradient, mask * torch.tensor(1 / 0.7, dtype=dtype))
