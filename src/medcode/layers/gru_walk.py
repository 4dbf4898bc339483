"""GRU on a CPU: a walk over the positions, with manual gradients.

Formulas and letters are those of `fused_recurrent`. torch's GRU adds to the gradient of the weights at every position,
and makes a dozen tensors there. Here that gradient is one product over all positions, factors that do not depend on the
position after are computed for many positions at once, and the rest is done in place, so that one core needs three
quarters of the time. (torch's LSTM on a CPU is oneDNN's, and faster than such a walk.)

Documents are packed, as torch's packed sequences are: longest first, and at each position only those that have it, so
that padding is not computed. The rows of all positions follow one another, T in all. Gates are in the order n, r, z.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medcode.layers import kernels

# Positions for which the backward pass computes factors at once: their rows fit into a cache.
POSITIONS = 32


def should_walk(network: nn.RNNBase, x: Tensor) -> bool:
    """Return whether `walk` computes a network: a GRU on a CPU where gradients are needed.

    Not in a step that is recorded and replayed, because lengths are read on the host.
    """
    needs_gradient = torch.is_grad_enabled() and (x.requires_grad or network.weight_hh_l0.requires_grad)
    return isinstance(network, nn.GRU) and x.device.type == "cpu" and needs_gradient and not kernels.in_graph()


def walk(networks: Sequence[nn.RNNBase], x: Tensor, lengths: Tensor) -> Tensor:
    """Compute the outputs of one GRU, or of two, the second of which reads every document backward.

    Args:
        networks: of one layer and one direction.
        x: [B, N, E].
        lengths: int [B], at least 1 and at most N.

    Shapes: -> [B, N, D] with D = hidden times networks, zero after the end of a document.
    """
    counts, *orders = _pack(lengths, x.shape[1])
    orders = orders[: len(networks)]
    states = [
        _Walk.apply(
            _Take.apply(x, order),
            counts,
            network.weight_ih_l0,
            network.weight_hh_l0,
            network.bias_ih_l0,
            network.bias_hh_l0,
        )
        for network, order in zip(networks, orders, strict=True)
    ]
    return _Place.apply(x.shape[:2], orders, *states)


def _pack(lengths: Tensor, positions: int) -> tuple[list[int], Tensor, Tensor]:
    """Pack documents, the longest first.

    Returns:
        Number of documents that have each position; and document times N plus position of each row, int [T], read
        forward and read backward.
    """
    ends, documents = lengths.sort(descending=True, stable=True)
    steps = torch.arange(int(ends[0])).unsqueeze(1)
    real, starts = steps < ends, documents * positions  # [longest, B], [B]
    return real.sum(1).tolist(), (starts + steps)[real], (starts + ends - 1 - steps)[real]


class _Take(torch.autograd.Function):
    """Rows in some order, each at most once: [B, N, E], int [T] -> [T, E]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.shape = x.shape
        ctx.save_for_backward(order)
        return x.flatten(0, 1).index_select(0, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        x = gradient.new_zeros(ctx.shape)
        x.flatten(0, 1).index_copy_(0, order, gradient)
        return x, None


class _Place(torch.autograd.Function):
    """The inverse of `_Take` for the rows of each network, side by side: [T, H] each -> [B, N, D]."""

    @staticmethod
    def forward(ctx: Any, size: torch.Size, orders: Sequence[Tensor], *states: Tensor) -> Tensor:
        ctx.save_for_backward(*orders)
        outputs = states[0].new_zeros(size.numel(), len(states), states[0].shape[1])
        for number, (order, rows) in enumerate(zip(orders, states, strict=True)):
            outputs[:, number].index_copy_(0, order, rows)
        return outputs.view(*size, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        parts = gradient.flatten(0, 1).chunk(len(ctx.saved_tensors), dim=1)
        return None, None, *(part.index_select(0, order) for part, order in zip(parts, ctx.saved_tensors, strict=True))


class _Walk(torch.autograd.Function):
    """A GRU of one direction on packed documents: words [T, E], counts, weights as torch's -> h [T, H]."""

    @staticmethod
    def forward(
        ctx: Any,
        words: Tensor,
        counts: list[int],
        input_weights: Tensor,
        weights: Tensor,
        input_biases: Tensor,
        biases: Tensor,
    ) -> Tensor:
        hidden = weights.shape[1]
        outer, inner = biases.split([2 * hidden, hidden])
        input_biases = torch.cat([input_biases[2 * hidden :], input_biases[: 2 * hidden] + outer])
        input_weights = input_weights.roll(hidden, 0)
        gates = torch.addmm(input_biases, words, input_weights.t())
        states, m = _read(gates, weights, inner, counts)
        ctx.counts = counts
        ctx.save_for_backward(words, input_weights, weights, gates, states, m)
        return states[counts[0] :]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        words, input_weights, weights, gates, states, m = ctx.saved_tensors
        hidden, before = weights.shape[1], _before(states, ctx.counts)
        d_gates = _gate_gradients(gradient, weights, ctx.counts, before, gates, m)
        d_words, d_state = d_gates[:, : 3 * hidden], d_gates[:, hidden:]
        return (
            d_words @ input_weights if ctx.needs_input_grad[0] else None,
            None,
            (d_words.t() @ words).roll(-hidden, 0),
            d_state.t() @ before,
            d_words.sum(0).roll(-hidden),
            d_state.sum(0),
        )


def _read(gates: Tensor, weights: Tensor, inner: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Run the forward pass, which turns p into the gates in place.

    Shapes: p [T, 3 H], weights [3 H, H], inner [H] -> h, preceded by the zeros before the first position,
        [counts[0] + T, H], and m [T, H].
    """
    rows, hidden = len(gates), weights.shape[1]
    of_r_and_z, of_n = weights.t().split([2 * hidden, hidden], dim=1)
    states, m = gates.new_empty(counts[0] + rows, hidden), gates.new_empty(rows, hidden)
    h, *steps = states.split([counts[0], *counts])
    h.zero_()
    n, r, z = (gate.split(counts) for gate in gates.split(hidden, dim=1))
    r_and_z, inner_steps = gates[:, hidden:].split(counts), m.split(counts)
    for step, state in enumerate(steps):
        h = h[: len(state)]
        r_and_z[step].addmm_(h, of_r_and_z).sigmoid_()
        torch.addmm(inner, h, of_n, out=inner_steps[step])
        n[step].addcmul_(r[step], inner_steps[step]).tanh_()
        h = torch.lerp(n[step], h, z[step], out=state)
    return states, m


def _gate_gradients(
    gradient: Tensor, weights: Tensor, counts: list[int], before: Tensor, gates: Tensor, m: Tensor
) -> Tensor:
    """Run the backward pass: gradients before the nonlinearities of n, r, z, and of m, [T, H] -> [T, 4 H]."""
    hidden, rows = weights.shape[1], len(gradient)
    d_gates = gradient.new_empty(rows, 4, hidden)
    d_steps, d_products = d_gates.split(counts), d_gates.view(rows, -1)[:, hidden:].split(counts)
    gradients = gradient.split(counts)
    dh = gradients[-1].clone()
    for first, part in _parts(counts):
        n, r, z = gates[part].split(hidden, dim=1)
        sizes, closed = counts[first : first + POSITIONS], 1 - z
        of_dh = torch.stack([closed * (1 - n * n), closed * z * (before[part] - n)], dim=1).split(sizes)  # dn, dz
        of_dn = torch.stack([m[part] * r * (1 - r), r], dim=1).split(sizes)  # dr, dm
        kept = z.split(sizes)
        for place in reversed(range(len(sizes))):
            step = first + place
            torch.mul(dh.unsqueeze(1), of_dh[place], out=d_steps[step][:, ::2])
            torch.mul(d_steps[step][:, :1], of_dn[place], out=d_steps[step][:, 1::2])
            if step:
                preceding = gradients[step - 1].clone()
                preceding[: len(dh)].addcmul_(dh, kept[place]).addmm_(d_products[step], weights)
                dh = preceding
    return d_gates.flatten(1)


def _parts(counts: list[int]) -> Iterator[tuple[int, slice]]:
    """Yield the first position and the rows of every `POSITIONS` positions, from the last to the first."""
    ends = [0, *torch.tensor(counts).cumsum(0).tolist()]
    for first in reversed(range(0, len(counts), POSITIONS)):
        yield first, slice(ends[first], ends[min(first + POSITIONS, len(counts))])


def _before(states: Tensor, counts: list[int]) -> Tensor:
    """Return the state before that of each row: [counts[0] + T, H] -> [T, H]."""
    if counts[-1] == counts[0]:
        return states[: -counts[0]]
    preceding = torch.tensor([counts[0], *counts[:-1]]).repeat_interleave(torch.tensor(counts))
    return states.index_select(0, torch.arange(counts[0], len(states)) - preceding)
