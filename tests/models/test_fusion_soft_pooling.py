"""Soft pooling: a weighted mean of neighbors."""

from __future__ import annotations

import pytest
import torch

from medcode.models.fusion import SoftPooling


@pytest.mark.parametrize(("length", "window", "positions"), [(6, 2, 3), (7, 2, 4), (1, 2, 1), (7, 3, 3), (5, 1, 5)])
def test_a_window_is_pooled_to_a_weighted_mean(length, window, positions):
    torch.manual_seed(0)
    layer, x = SoftPooling(4, window), torch.randn(2, 4, length)
    pooled = layer(x)
    assert pooled.shape == (2, 4, positions)
    whole = torch.cat([x, torch.zeros(2, 4, positions * window - length)], dim=2)
    for position in range(positions):
        words = whole[:, :, position * window : (position + 1) * window]
        weights = torch.softmax(torch.einsum("d,bdg->bg", layer.score.weight[0, :, 0], words), dim=1)
        torch.testing.assert_close(pooled[:, :, position], torch.einsum("bg,bdg->bd", weights, words))


def test_trailing_zeros_do_not_change_the_pooled_values():
    layer, x = SoftPooling(4, 2), torch.randn(1, 4, 5)
    padded = layer(torch.nn.functional.pad(x, (0, 6)))
    torch.testing.assert_close(padded[:, :, :3], layer(x))
