"""Masks of padding, and values at padding."""

from __future__ import annotations

import torch

from medcode.layers.masks import fill_pads, position_mask


def test_the_first_positions_are_real():
    assert position_mask(torch.tensor([2, 3, 1]), 3).int().tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]


def test_fill_pads_changes_only_padding():
    x = torch.arange(6.0).reshape(1, 2, 3)
    mask = torch.tensor([[True, True, False]])
    assert fill_pads(x, mask).tolist() == [[[0, 1, 0], [3, 4, 0]]]
    assert fill_pads(x, mask, -1.0)[0, :, 2].tolist() == [-1, -1]
    assert fill_pads(x, None) is x
