"""DR-CAML's reading of what a code means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.layers.masks import fill_pads, position_mask
from medcode.layers.tanh_convolution import TanhConvolution


class DescriptionEncoder(nn.Module):
    """A convolution over the words of a description, its maximum over them, and a linear layer.

    Source: Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text", section 2.5; the
    authors' code.

        z = V max_t tanh(conv(x))_t + c

    Args:
        inputs: E.
        features: D.
        kernel: K.
        masked: whether positions that only see pads are left out of the maximum.

    Shapes: [B, T, E], number of words [B] -> [B, D].
    """

    def __init__(self, inputs: int, features: int, kernel: int, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.convolution = TanhConvolution(inputs, features, kernel)
        self.output = nn.Linear(features, features)
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        features = self.convolution(x.transpose(1, 2))  # [B, D, T + extra]
        if self.masked:
            real = position_mask(lengths.clamp(min=1) + self.convolution.extra, features.shape[2])
            features = fill_pads(features, real, -torch.inf)
        return self.output(features.amax(2))
