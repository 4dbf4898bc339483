"""Convolutions over positions, in the fastest memory layout of the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.kernels import product_type

# Tensor cores read 16 bytes at a time: eight channels of 16 bits. With another number of channels, cuDNN's
# deterministic gradient of the weights does not use tensor cores: half the time of a step of CAML on an H200.
CHANNELS = 8


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, dilation: int = 1) -> Tensor:
    """Compute `nn.functional.conv1d`, on a CPU in channels-last layout.

    oneDNN is up to a third faster with the features of a position adjacent in memory, as word vectors already are. It
    supports this layout for images only, so a document is an image one pixel high.

    Args:
        x: input.
        weight: [D, E, K].
        bias: [D].
        padding: number of zeros on both sides.
        dilation: distance between the positions that are read.

    Shapes: [B, E, N] -> [B, D, positions].
    """
    if x.device.type == "cuda" and product_type(x).itemsize == 2:
        return convolve_padded(x, weight, bias, padding=padding, dilation=dilation)
    if x.device.type != "cpu":
        return nn.functional.conv1d(x, weight, bias, padding=padding, dilation=dilation)
    x, weight = (tensor.unsqueeze(2).contiguous(memory_format=torch.channels_last) for tensor in (x, weight))
    return nn.functional.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation)).squeeze(2)


def convolve_padded(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, dilation: int = 1
) -> Tensor:
    """Compute `convolve` with zero channels added up to a multiple of `CHANNELS`; those of the output are removed.

    Shapes: as `convolve`.
    """
    outputs, inputs, _ = weight.shape
    extra_outputs, extra_inputs = -outputs % CHANNELS, -inputs % CHANNELS
    pad = nn.functional.pad
    if extra_inputs:
        x = pad(x, (0, 0, 0, extra_inputs))
    if extra_inputs or extra_outputs:
        weight = pad(weight, (0, 0, 0, extra_inputs, 0, extra_outputs))
    if bias is not None and extra_outputs:
        bias = pad(bias, (0, extra_outputs))
    return nn.functional.conv1d(x, weight, bias, padding=padding, dilation=dilation)[:, :outputs]


class Convolution(nn.Conv1d):
    """`nn.Conv1d` computed by `convolve`, with kernel, padding, dilation and bias as its only options.

    Args:
        inputs: E.
        features: D.
        kernel: K.
        padding: number of zeros on both sides.
        dilation: distance between the positions that are read.
        bias: whether each feature has a bias.

    Shapes: [B, E, N] -> [B, D, positions].
    """

    def __init__(
        self, inputs: int, features: int, kernel: int, *, padding: int = 0, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(inputs, features, kernel, padding=padding, dilation=dilation, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, padding=self.padding[0], dilation=self.dilation[0])
