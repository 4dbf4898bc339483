"""A bidirectional or unidirectional recurrent network over words."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from medcode.layers.fused_recurrent import fused_recurrent, should_fuse
from medcode.layers.gru_walk import should_walk, walk
from medcode.layers.masks import position_mask


class Recurrent(nn.Module):
    """One layer of GRU or LSTM.

    The backward network reads every document reversed, so that padding follows the words in both directions. Then
    torch's packing is not needed, whose gradient takes quadratic time on a CPU. A GRU trains there by `gru_walk`.

    Args:
        cell_type: gru or lstm.
        inputs: E.
        hidden: number of hidden units of each direction.
        bidirectional: whether a second network reads backward.

    Shapes: [B, N, E], lengths [B] -> outputs [B, N, D], last states [B, D], with D = hidden times directions. Padding
        is not read and its outputs are zero; an empty document is read as one padding token. Without lengths, padding
        is read.
    """

    def __init__(self, cell_type: Literal["gru", "lstm"], inputs: int, hidden: int, *, bidirectional: bool) -> None:
        super().__init__()
        network_cls = {"gru": nn.GRU, "lstm": nn.LSTM}[cell_type]
        self.forwards = network_cls(inputs, hidden, batch_first=True)
        self.backwards = network_cls(inputs, hidden, batch_first=True) if bidirectional else None
        self.features = hidden * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, positions, _ = x.shape
        steps = torch.full((batch,), positions, device=x.device) if lengths is None else lengths.clamp(min=1)
        networks = [self.forwards] if self.backwards is None else [self.forwards, self.backwards]
        rows, ends = torch.arange(batch, device=x.device), steps - 1
        fused = should_fuse(self.forwards, x)
        if not fused and should_walk(self.forwards, x):
            with torch.autocast("cpu", enabled=False):
                outputs = walk(networks, x, steps)  # [B, N, D]
            last = [outputs[rows, ends, : self.forwards.hidden_size], outputs[:, 0, self.forwards.hidden_size :]]
            return outputs, torch.cat(last, dim=1)
        places = torch.arange(positions, device=x.device)
        reverse = torch.where(places <= ends.unsqueeze(1), ends.unsqueeze(1) - places, places)  # [B, N]
        order = (rows.unsqueeze(1) * positions + reverse).flatten()
        inputs = [x] if self.backwards is None else [x, _Rearrange.apply(x, order)]
        if fused:
            states = fused_recurrent(networks, inputs, steps)
        else:
            # In bf16 oneDNN has no LSTM for processors, or limits on them, without AVX-512.
            with torch.autocast("cpu", enabled=False):
                states = [network(words)[0] for network, words in zip(networks, inputs, strict=True)]
        last = torch.cat([state[rows, ends] for state in states], dim=1)
        states[1:] = [_Rearrange.apply(state, order) for state in states[1:]]
        outputs = torch.cat(states, dim=2)
        if lengths is not None:
            outputs = outputs * position_mask(steps, positions).unsqueeze(2).to(outputs.dtype)
        return outputs, last


class _Rearrange(torch.autograd.Function):
    """Rearranges positions in an order that is its own inverse, so that the gradient is deterministic.

    Shapes: [B, N, D], int [B N], rows of the flattened input -> [B, N, D].
    """

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.flatten(0, 1).index_select(0, order).view(x.shape)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradient.flatten(0, 1).index_select(0, order).view(gradient.shape), None
