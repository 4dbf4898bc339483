"""Fusion's pooling of neighbouring words into one position."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SoftPooling(nn.Module):
    """Attention-based soft pooling: a weighted mean of every g neighbours.

    Source: Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression", section 3.2.2; the authors'
    code, which has no bias b (softmax would ignore it) and completes the last window with zeros.

        b_j = softmax over the window (w . x_j),   o_p = sum_j b_j x_j

    Args:
        features: D.
        window: g.

    Shapes: [B, D, N] -> [B, D, ceil(N / g)]. Pads must be zero: they then stand for the zeros that complete a window.
    """

    def __init__(self, features: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.score = nn.Conv1d(features, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, -x.shape[2] % self.window))
        scores = self.score(x).unflatten(2, (-1, self.window))  # [B, 1, P, g]
        weights = torch.softmax(scores.float(), dim=3).to(x.dtype)
        return (weights * x.unflatten(2, (-1, self.window))).sum(3)
