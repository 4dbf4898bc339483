"""Convolutions over positions, in the layout that suits the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.kernels import product_type

# Tensor cores read 16 bytes at a time: channels of 16 bits, in eights. With others, cuDNN's deterministic gradient of
# the weights does without tensor cores: half the time of a step of CAML on an H200.
CHANNELS = 8


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, dilation: int = 1) -> Tensor:
    """As `nn.functional.conv1d`, on a CPU with the features of a position side by side in memory.

    oneDNN convolves them up to a third quicker so, and word vectors lie like that already. It knows the layout for
    images only: a document is one, a pixel high.

    Args:
        weight: [D, E, K].
        bias: [D].
        padding: zeros on both sides.
        dilation: distance of the positions that are read.

    Shapes: [B, E, N] -> [B, D, positions].
    """
    if x.device.type == "cuda" and product_type(x).itemsize == 2:
        return convolve_padded(x, weight, bias, padding=padding, dilation=dilation)
    if x.device.type != "cpu":
        return nn.functional.conv1d(x, weight, bias, padding=padding, dilation=dilation)
    x, weight = (own.unsqueeze(2).contiguous(memory_format=torch.channels_last) for own in (x, weight))
    return nn.functional.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation)).squeeze(2)


def convolve_padded(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, dilation: int = 1
) -> Tensor:
    """As `convolve`, with input and output channels of zero added to a multiple of `CHANNELS`, and left out again.

    Shapes: as `convolve`.
    """
    outputs, inputs, _ = weight.shape
    more_outputs, more_inputs = -outputs % CHANNELS, -inputs % CHANNELS
    pad = nn.functional.pad
    if more_inputs:
        x = pad(x, (0, 0, 0, more_inputs))
    if more_inputs or more_outputs:
        weight = pad(weight, (0, 0, 0, more_inputs, 0, more_outputs))
    if bias is not None and more_outputs:
        bias = pad(bias, (0, more_outputs))
    return nn.functional.conv1d(x, weight, bias, padding=padding, dilation=dilation)[:, :outputs]


class Convolution(nn.Conv1d):
    """`nn.Conv1d` by `convolve`; padding and dilation are all it can be told beside kernel and bias.

    Args:
        inputs: E.
        features: D.
        kernel: K.
        padding: zeros on both sides.
        dilation: distance of the positions that are read.
        bias: whether each feature has a bias.

    Shapes: [B, E, N] -> [B, D, positions].
    """

    def __init__(
        self, inputs: int, features: int, kernel: int, *, padding: int = 0, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(inputs, features, kernel, padding=padding, dilation=dilation, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, padding=self.padding[0], dilation=self.dilation[0])
