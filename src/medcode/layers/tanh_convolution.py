"""A convolution over words with a tanh, the first layer of CAML and its descendants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.convolution import Convolution


class TanhConvolution(Convolution):
    """Convolution padded by floor(K/2) on both sides, and tanh.

    Source: caml-mimic. An odd kernel keeps the number of positions, an even one adds one.

    Args:
        inputs: E.
        features: D.
        kernel: K.
        bias: whether each feature has a bias.
        xavier: whether weights have Xavier initialization instead of torch's.

    Shapes: [B, E, N] -> [B, D, N + extra].
    """

    def __init__(self, inputs: int, features: int, kernel: int, *, bias: bool = True, xavier: bool = True) -> None:
        super().__init__(inputs, features, kernel, padding=kernel // 2, bias=bias)
        self.extra = 1 - kernel % 2
        if xavier:
            nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))

    def windows_around(self, marked: Tensor) -> Tensor:
        """Return which windows have a marked word in their middle, bool [..., N] -> bool [..., N + extra].

        The middle of an even kernel lies between two words, and both count.
        """
        if not self.extra:
            return marked
        return nn.functional.pad(marked, (0, self.extra)) | nn.functional.pad(marked, (self.extra, 0))
