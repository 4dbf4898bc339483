"""Convolutions over positions, in the fastest memory layout of the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medcode.layers.kernels import product_type

# Tensor cores read 16 bytes at a time: eight channels of 16 bits. With another number of channels, cuDNN's
# deterministic gradient of the weights does not use tensor cores: half the time of a step of CAML on an H200.
CHANNELS = 8


# For the gradient of the weights, the windows of so many positions are copied at once, and as many words of each window
# as keep the copy within so many numbers, a MiB: more would not stay in a cache.
WINDOWS, COPIED = 256, 2**18


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
    if torch.is_autocast_enabled("cpu"):
        return _channels_last(x, weight, bias, padding, dilation)
    return _Convolve.apply(x, weight, bias, padding, dilation)


def _channels_last(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Tensor:
    x, weight = (as_image(tensor) for tensor in (x, weight))
    return nn.functional.conv2d(x, weight, bias, padding=(0, padding), dilation=(1, dilation)).squeeze(2)


def as_image(x: Tensor) -> Tensor:
    """Return x as images one pixel high, with the features of a position side by side: [B, D, N] -> [B, D, 1, N]."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class _Convolve(torch.autograd.Function):
    """`_channels_last` with a gradient of the weights that is a product with the unfolded windows.

    In this layout oneDNN needs two to three times as long for that gradient as for the others, but with dilation, or
    for texts as short as descriptions, it is the faster one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Tensor:
        ctx.padding, ctx.dilation = padding, dilation
        ctx.save_for_backward(x, weight)
        return _channels_last(x, weight, bias, padding, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), padding, dilation = ctx.saved_tensors, ctx.padding, ctx.dilation
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        unfolds = needs_weight and dilation == 1 and gradient.shape[2] >= WINDOWS // 4
        d_x = d_weight = None
        if needs_x or (needs_weight and not unfolds):
            images, needs = (as_image(gradient), as_image(x), as_image(weight)), [needs_x, needs_weight and not unfolds]
            geometry = [1, 1], [0, padding], [1, dilation], False, [0, 0], 1
            gradients = torch.ops.aten.convolution_backward(*images, None, *geometry, [*needs, False])[:2]
            d_x, d_weight = (part.squeeze(2) if need else None for part, need in zip(gradients, needs, strict=True))
        if unfolds:
            d_weight = _weight_gradient(x, gradient, weight.shape, padding)
        return d_x, d_weight, gradient.sum((0, 2)) if needs_bias else None, None, None


def _weight_gradient(x: Tensor, gradient: Tensor, shape: torch.Size, padding: int) -> Tensor:
    """Compute the gradient of the weights, without dilation: [B, E, N], [B, D, P] -> [D, E, K]."""
    features, inputs, kernel = shape
    words = nn.functional.pad(x.transpose(1, 2), (0, 0, padding, padding)).contiguous()
    gradient = gradient.transpose(1, 2).contiguous()  # [B, P, D]
    d_weight = x.new_zeros(features, kernel * inputs)
    width = min(kernel, max(1, COPIED // (WINDOWS * inputs)))
    parts = list(zip(range(0, kernel, width), d_weight.split(width * inputs, dim=1), strict=True))
    buffer = x.new_empty(WINDOWS, width, inputs)
    for document, document_gradient in zip(words, gradient, strict=True):
        for number, rows in enumerate(document_gradient.split(WINDOWS)):
            for offset, part in parts:
                start = document.storage_offset() + (number * WINDOWS + offset) * inputs
                size = len(rows), part.shape[1] // inputs, inputs
                windows = document.as_strided(size, (inputs, inputs, 1), start)
                copy = buffer.flatten()[: windows.numel()].view(size).copy_(windows)
                part.addmm_(rows.t(), copy.flatten(1))
    return d_weight.view(features, kernel, inputs).transpose(1, 2)


def pad_before(x: Tensor, positions: int) -> Tensor:
    """Put zeros before the first position, in the layout that `convolve` reads: [B, E, N] -> [B, E, positions + N]."""
    if x.device.type == "cpu":
        return nn.functional.pad(x.transpose(1, 2), (0, 0, positions, 0)).transpose(1, 2)
    return nn.functional.pad(x, (positions, 0))


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


class TransposedConvolution(nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` of stride 1, on a CPU as the convolution that it is.

    torch's transposed convolutions take more than twice the time of oneDNN's convolutions. With stride 1 they are the
    same sums: the kernel is turned around, and inputs and outputs of the weights change places.

    Args:
        inputs: E.
        features: D.
        kernel: K.
        padding: number of positions that the output lacks on both sides, at most K - 1.
        bias: whether each feature has a bias.

    Shapes: [B, E, N] -> [B, D, N + K - 1 - 2 padding].
    """

    def __init__(self, inputs: int, features: int, kernel: int, *, padding: int = 0, bias: bool = True) -> None:
        super().__init__(inputs, features, kernel, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        weight = self.weight.transpose(0, 1).flip(2)
        return convolve(x, weight, self.bias, padding=self.kernel_size[0] - 1 - self.padding[0])
