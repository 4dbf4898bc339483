"""Which positions of an encoder's output are real, and what to do about those that are not."""

from __future__ import annotations

import torch
from torch import Tensor

# A finite score for what is masked, where a softmax runs over parts of the positions: a part of nothing else has a
# maximum, and the next one's outweighs it by far.
MASKED = -1e30


def position_mask(lengths: Tensor, positions: int) -> Tensor:
    """Says which positions are real.

    Args:
        lengths: number of real positions of each document, at least 1, [B].
        positions: N, the number of positions of the padded batch.

    Shapes: [B] -> bool [B, N], true where real.
    """
    return torch.arange(positions, device=lengths.device) < lengths.unsqueeze(1)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis in fp32, exactly zero where the mask is false.

    Args:
        scores: [B, Y, N].
        mask: bool [B, N], each row with at least one true; None lets every position take part.

    Shapes: [B, Y, N] -> fp32 [B, Y, N].
    """
    scores = scores.float()
    if mask is not None:
        scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
    return torch.softmax(scores, dim=-1)


def fill_pads(features: Tensor, mask: Tensor | None, value: float = 0.0) -> Tensor:
    """Replaces the features of pads, so that a layer that looks around itself cannot see them.

    Args:
        features: [B, D, N].
        mask: bool [B, N], true where real; None leaves all as it is.
        value: what to put there.

    Shapes: [B, D, N] -> [B, D, N].
    """
    return features if mask is None else features.masked_fill(~mask.unsqueeze(1), value)
