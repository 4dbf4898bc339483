"""MT-RAM's recalibrated aggregation module (RAM): convolutions over neighboring positions reweight the features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.convolution import Convolution, TransposedConvolution
from medcode.layers.dropout import Dropout
from medcode.layers.masks import fill_pads

KERNEL = 3


class Node(nn.Module):
    """Two convolutions that change the number of features but not that of positions.

    Source: Sun et al. 2021, equation 4; the authors' code, which adds batch normalization.

        x' = norm(conv(tanh(norm(conv(x)))))

    Args:
        inputs: D of the input.
        outputs: D of the output.
        convolution: Convolution, or TransposedConvolution for an up node.

    Shapes: [B, inputs, N], bool [B, N] or None -> [B, outputs, N]. With a mask, padding must be zero in the input and
    is zero in the output.
    """

    def __init__(self, inputs: int, outputs: int, convolution: type[Convolution | TransposedConvolution]) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, KERNEL, padding=KERNEL // 2, bias=False)
        self.first_norm = MaskedBatchNorm(outputs)
        self.second = convolution(outputs, outputs, KERNEL, padding=KERNEL // 2, bias=False)
        self.second_norm = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = fill_pads(torch.tanh(self.first_norm(self.first(x), mask)), mask)
        return fill_pads(self.second_norm(self.second(h), mask), mask)


class RecalibratedAggregation(nn.Module):
    """RAM: features multiplied by weights that convolutions compute from neighboring positions.

    Source: Sun et al. 2021, "Multitask Recalibrated Aggregation Network for Medical Code Prediction", section 3.3, and
    4.6 for `combine`; the authors' code, which adds dropout.

        a = down1(h),   a' = down2(a),   b = a + up1(lateral(a')),   o = up2(b)
        h' = dropout(tanh(o * h))

    Down and up change the number of features, D to D/2 to D/4 and back (rounded down), but not that of positions. Ten
    convolutions of width 3 read ten positions on each side; the paper calls that global.

    Args:
        features: D.
        combine: multiply, or add: h' = dropout(tanh(o + h)).
        dropout: probability that a value of the output is dropped.
        identity: whether RAM begins as h' = dropout(tanh(h)): the last normalization starts with o = 1, or with o = 0
            for `add`, whatever it reads. Published is weight 1 and bias 0, with which products have a mean of zero and
            lose the sign of h.

    Shapes: [B, N, D], bool [B, N] or None -> [B, N, D]. With a mask, batch normalization ignores padding, and padding
    is zero in the output.
    """

    def __init__(
        self, features: int, combine: Literal["multiply", "add"], dropout: float, identity: bool = False
    ) -> None:
        super().__init__()
        half, quarter = features // 2, features // 4
        self.combine = combine
        self.first_down = Node(features, half, Convolution)
        self.second_down = Node(half, quarter, Convolution)
        self.lateral = Node(quarter, quarter, Convolution)
        self.first_up = Node(quarter, half, TransposedConvolution)
        self.second_up = Node(half, features, TransposedConvolution)
        if identity:
            nn.init.zeros_(self.second_up.second_norm.weight)
            nn.init.constant_(self.second_up.second_norm.bias, 1.0 if combine == "multiply" else 0.0)
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        h = fill_pads(features.transpose(1, 2), mask)  # [B, D, N]
        a = self.first_down(h, mask)
        b = a + self.first_up(self.lateral(self.second_down(a, mask), mask), mask)
        o = self.second_up(b, mask)
        return self.dropout(torch.tanh(o * h if self.combine == "multiply" else o + h)).transpose(1, 2)


class RecalibratedBranch(nn.Module):
    """A label attention on top of a RAM that other heads do not share (Sun et al. 2021, section 4.6).

    Args:
        recalibration: the RAM.
        attention: the label attention that reads its output.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y].
    """

    def __init__(self, recalibration: RecalibratedAggregation, attention: nn.Module) -> None:
        super().__init__()
        self.recalibration, self.attention = recalibration, attention

    def weights(self, features: Tensor, mask: Tensor | None, *, labels: Tensor | None = None) -> Tensor:
        """Return the attention of all labels, or of those with the indices `labels`: [B, N, D] -> fp32 [B, Y, N]."""
        return self.attention.weights(self.recalibration(features, mask), mask, labels=labels)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        return self.attention(self.recalibration(features, mask), mask)
