"""A recurrent network over words, in both directions or one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medcode.layers.fused_recurrent import fused_recurrent, pays
from medcode.layers.masks import position_mask


class Recurrent(nn.Module):
    """One layer of GRU or LSTM.

    The network that reads from the end gets every document turned round, so that pads are behind the words for both
    directions and padding needs no packing, whose gradient takes quadratic time for a GRU on a CPU.

    Args:
        kind: which cell.
        inputs: E.
        hidden: width of a direction.
        bidirectional: whether a second network reads from the end.

    Shapes: [B, N, E], lengths [B] -> outputs [B, N, D], last states [B, D], with D = hidden times directions. Pads are
        not read and their outputs are zero; a document without words is read as one pad. Without lengths pads are read.
    """

    def __init__(self, kind: Literal["gru", "lstm"], inputs: int, hidden: int, *, bidirectional: bool) -> None:
        super().__init__()
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.forwards = cell(inputs, hidden, batch_first=True)
        self.backwards = cell(inputs, hidden, batch_first=True) if bidirectional else None
        self.features = hidden * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, positions, _ = x.shape
        read = torch.full((batch,), positions, device=x.device) if lengths is None else lengths.clamp(min=1)
        rows, ends, places = torch.arange(batch, device=x.device), read - 1, torch.arange(positions, device=x.device)
        turned = torch.where(places <= ends.unsqueeze(1), ends.unsqueeze(1) - places, places).unsqueeze(2)
        networks, words = [self.forwards], [x]
        if self.backwards is not None:
            networks.append(self.backwards)
            words.append(_Rearrange.apply(x, turned))
        if pays(self.forwards, x):
            by_network = fused_recurrent(networks, words, read)
        else:
            # In bf16 oneDNN has no LSTM for processors, or limits on them, without AVX-512.
            with torch.autocast("cpu", enabled=False):
                by_network = [network(own)[0] for network, own in zip(networks, words, strict=True)]
        last = torch.cat([own[rows, ends] for own in by_network], dim=1)
        by_network[1:] = [_Rearrange.apply(own, turned) for own in by_network[1:]]
        outputs = torch.cat(by_network, dim=2)
        if lengths is not None:
            outputs = outputs * position_mask(read, positions).unsqueeze(2)
        return outputs, last


class _Rearrange(torch.autograd.Function):
    """Gathers positions in an order that is its own inverse; so its gradient is a gather too, which is deterministic.

    Shapes: [B, N, D], int [B, N, 1] -> [B, N, D].
    """

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.gather(1, order.expand_as(x))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradient.gather(1, order.expand_as(gradient)), None
