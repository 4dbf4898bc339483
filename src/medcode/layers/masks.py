"""Masks of padding."""

from __future__ import annotations

import torch
from torch import Tensor

# A finite score of masked positions for a softmax over slices of the positions: the maximum of a slice of nothing but
# masked positions stays finite, and any real score outweighs it by far.
MASKED = -1e30


def position_mask(lengths: Tensor, positions: int) -> Tensor:
    """Return the mask of real positions.

    Args:
        lengths: number of real positions of each document, at least 1, [B].
        positions: N, the number of positions of the padded batch.

    Shapes: [B] -> bool [B, N], true where real.
    """
    return torch.arange(positions, device=lengths.device) < lengths.unsqueeze(1)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Compute a softmax over the last axis in fp32, exactly zero where the mask is false.

    Args:
        scores: [B, Y, N].
        mask: bool [B, N], true at least once in each row; None masks nothing.

    Shapes: [B, Y, N] -> fp32 [B, Y, N].
    """
    scores = scores.float()
    if mask is not None:
        scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
    return torch.softmax(scores, dim=-1)


def fill_pads(features: Tensor, mask: Tensor | None, value: float = 0.0) -> Tensor:
    """Replace the features of padding by a constant, so that a convolution does not read them.

    Args:
        features: [B, D, N], finite.
        mask: bool [B, N], true where real; None changes nothing.
        value: value of all features at padding.

    Shapes: [B, D, N] -> [B, D, N].
    """
    if mask is None:
        return features
    if features.device.type != "cpu":
        return features.masked_fill(~mask.unsqueeze(1), value)
    # masked_fill would bring positions side by side again, where convolutions leave features; and a product is faster.
    if value == 0.0:
        return features * mask.unsqueeze(1).to(features.dtype)
    return torch.where(mask.unsqueeze(1), features, value)
