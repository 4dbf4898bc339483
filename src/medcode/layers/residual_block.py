"""The residual block of MultiResCNN, which Fusion uses with another norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.convolution import Convolution
from medcode.layers.dropout import Dropout
from medcode.layers.masks import fill_pads


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut of kernel 1.

    Source: Li and Yu 2020, "ICD Coding from Clinical Text Using Multi-Filter Residual Convolutional Neural Network",
    section 3.3; the authors' code.

        x' = dropout(tanh(norm(conv(tanh(norm(conv(x))))) + norm(conv1(x))))

    Args:
        inputs: D of the input.
        features: D of the output.
        kernel: K, odd.
        norm: class of a norm that is built from D and called with features and mask.
        dropout: probability that a value of the output is dropped.

    Shapes: [B, inputs, N], bool [B, N] or None -> [B, features, N]. With a mask, padding must be zero in the input and
        is zero in the output.
    """

    def __init__(self, inputs: int, features: int, kernel: int, norm: type[nn.Module], dropout: float) -> None:
        super().__init__()
        self.first = Convolution(inputs, features, kernel, padding=kernel // 2, bias=False)
        self.first_norm = norm(features)
        self.second = Convolution(features, features, kernel, padding=kernel // 2, bias=False)
        self.second_norm = norm(features)
        self.shortcut = Convolution(inputs, features, 1, bias=False)
        self.shortcut_norm = norm(features)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = fill_pads(torch.tanh(self.first_norm(self.first(x), mask)), mask)
        h = self.second_norm(self.second(h), mask) + self.shortcut_norm(self.shortcut(x), mask)
        return fill_pads(self.dropout(torch.tanh(h)), mask)
