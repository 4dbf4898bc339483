"""Context vectors equal the plain softmax, with gradients."""

from __future__ import annotations

import pytest
import torch

from medcode.layers.context_vectors import context_vectors
from medcode.layers.masks import masked_softmax


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_they_are_sums_weighed_by_a_softmax(shared, masked):
    torch.manual_seed(0)
    queries, keys, values = torch.randn(1 if shared else 3, 5, 4), torch.randn(3, 7, 4), torch.randn(3, 7, 6)
    leaves = [tensor.requires_grad_() for tensor in (queries, keys, values)]
    mask = torch.arange(7) < torch.tensor([[7], [1], [4]]) if masked else None
    results = []
    for found in (
        context_vectors(*leaves, mask),
        masked_softmax(queries @ keys.transpose(1, 2), mask) @ values,
    ):
        assert found.shape == (3, 5, 6)
        results.append([found, *torch.autograd.grad(found.sin().sum(), leaves)])
    for streamed, plain in zip(*results, strict=True):
        torch.testing.assert_close(streamed, plain, rtol=1e-4, atol=1e-5)
