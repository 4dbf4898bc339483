"""DCAN's block of dilated, causal convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from medcode.layers.convolution import Convolution
from medcode.layers.dropout import Dropout


class CausalConvolution(Convolution):
    """Convolution that reads a position and those before it: t, t - dilation, ..., t - (K - 1) dilation.

    Shapes: [B, E, N] -> [B, D, N].
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


class TemporalBlock(nn.Module):
    """Two weight-normalised causal convolutions beside a shortcut.

    Source: Bai et al. 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
    Modeling", section 3; Ji et al. 2020 (DCAN), the authors' code.

        z = dropout(relu(conv(dropout(relu(conv(x)))))),   x' = relu(z + x)

    with x convolved by kernel 1 where the number of features changes.

    Args:
        inputs: D of the input.
        features: D of the output.
        kernel: K.
        dilation: distance of the positions that a convolution reads.
        dropout: probability that a value is dropped.

    Shapes: [B, inputs, N] -> [B, features, N].
    """

    def __init__(self, inputs: int, features: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = self._convolution(inputs, features, kernel, dilation)
        self.second = self._convolution(features, features, kernel, dilation)
        self.shortcut = Convolution(inputs, features, 1) if inputs != features else nn.Identity()
        self.dropout = Dropout(dropout)

    @staticmethod
    def _convolution(inputs: int, features: int, kernel: int, dilation: int) -> nn.Module:
        convolution = CausalConvolution(inputs, features, kernel, dilation=dilation)
        nn.init.normal_(convolution.weight, std=0.01)
        return weight_norm(convolution)

    def forward(self, x: Tensor) -> Tensor:
        z = self.dropout(torch.relu(self.first(x)))
        z = self.dropout(torch.relu(self.second(z)))
        return torch.relu(z + self.shortcut(x))
