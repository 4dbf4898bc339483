"""GRU and LSTM networks computed in parallel, with manual gradients.

torch's networks launch kernels at every position, one direction after the other. Here a time step contains only what
depends on the step before, and networks run in parallel. With p_t the product of the word vectors and the input
weights, one large product for all positions, and h, c of the position before,

    GRU    r, z = sigmoid(p_t + U h),  m = U_n h + b_n,  n = tanh(p_t + r m),  h' = (1 - z) n + z h
    LSTM   i, f, o = sigmoid(p_t + U h),  g = tanh(p_t + U h),  c' = f c + i g,  h' = o tanh(c')

in the convention of torch, whose biases other than b_n are in p_t. In the backward pass, dh' is the gradient of an
output plus that from the position after, U^T d(U h) and, for a GRU, z dh':

    GRU    dn = dh' (1 - z) (1 - n^2),  dz = dh' (h - n) z (1 - z),  dm = dn r,  dr = dn m r (1 - r)
    LSTM   do = dh' tanh(c') o (1 - o),  dc' = dh' o (1 - tanh(c')^2) + f dc of the position after,
           di = dc' g i (1 - i),  df = dc' c f (1 - f),  dg = dc' i (1 - g^2)

The gradients before the nonlinearities are stored. Those of U, of the input weights and of the words are then large
products over all positions. There are no atomic additions: gradients are deterministic.

The gates of a position are stored as n, r, z, m, so that those of the words (n, r, z) and those of U (r, z, m) are
slices; an LSTM's are i, f, g, o.

The forward and the backward pass are functions of this file (`read`, `gate_gradients`) and kernels of the same names in
`fused_recurrent_triton`, which a CUDA device uses where `kernels` selects them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medcode.layers import kernels
from medcode.layers.kernels import Results, ShapeClass, Solve, product_type
from medcode.layers.masks import position_mask

# Shared memory that a program of the kernels needs: less than an A100, an H100 and their successors have.
KERNEL_BYTES = 132 * 1024

# Input weights, recurrent weights, biases and b_n: see `_weights`.
Weights = tuple[Tensor, Tensor, Tensor, Tensor | None]


def should_fuse(network: nn.RNNBase, x: Tensor) -> bool:
    """Return whether to run a network on x by `fused_recurrent`: true if Triton kernels were selected for its sizes."""
    return _kernels(network, x) is not None


def fused_recurrent(networks: Sequence[nn.RNNBase], words: Sequence[Tensor], lengths: Tensor) -> list[Tensor]:
    """Compute the outputs of networks of one layer and one direction, each on separate inputs.

    State and gates are in fp32 (float64 for float64). Under autocast the matrix products and outputs are in its type.

    Args:
        networks: all nn.GRU or all nn.LSTM, of the same size.
        words: inputs, [B, N, E] for each network.
        lengths: int [B], at least 1 and at most N. Outputs after it are finite, and their gradients must be zero.

    Shapes: -> [B, N, H] for each network.
    """
    gates = 3 if isinstance(networks[0], nn.GRU) else 4
    triton, dtype = _kernels(networks[0], words[0]), product_type(words[0])
    return list(_outputs(triton, words, _weights(networks, gates), lengths, dtype))


def _outputs(
    triton: ModuleType | None, words: Sequence[Tensor], weights: Weights, lengths: Tensor, dtype: torch.dtype
) -> Tensor:
    """Compute the outputs of R networks, by kernels, or by the functions below for None.

    Shapes: R times [B, N, E] -> [R, B, N, H].
    """
    hidden = weights[1].shape[3]
    input_weights, state_weights, biases, inner = weights if triton is None else triton.aligned(*weights)
    x = torch.stack([x.transpose(0, 1) for x in words]).flatten(1, 2).to(dtype)
    input_weights = input_weights.flatten(1, 2).transpose(1, 2).to(dtype)
    biases = biases.flatten(1).unsqueeze(1).to(dtype)
    projected = torch.baddbmm(biases, x, input_weights).unflatten(1, words[0].shape[1::-1])
    state_weights = state_weights.flatten(1, 2).to(dtype)
    outputs = _FusedRecurrent.apply(triton, projected, state_weights, inner, lengths)  # [R, N, B, H]
    return outputs[..., :hidden].transpose(1, 2)


def _weights(networks: Sequence[nn.RNNBase], gates: int) -> Weights:
    """Stack the weights of R networks with G gates.

    Returns:
        Input weights [R, G, H, E], recurrent weights [R, G, H, H], biases [R, G, H], and b_n [R, H] of a GRU.
    """
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    input_weights, state_weights, input_biases, state_biases = (
        torch.stack([getattr(network, name) for network in networks]).unflatten(1, (gates, -1)) for name in names
    )
    if gates == 4:
        return input_weights, state_weights, input_biases + state_biases, None
    outer = torch.cat([state_biases[:, :2], torch.zeros_like(state_biases[:, 2:])], dim=1)
    return input_weights.roll(1, 1), state_weights, (input_biases + outer).roll(1, 1), state_biases[:, 2]


class _FusedRecurrent(torch.autograd.Function):
    """Recurrent networks of the module docstring; `triton` is the module of Triton kernels, or None for plain torch.

    Shapes: projected [R, N, B, G H], weights [R, G H, H], inner [R, H] or None, lengths [B] -> [R, N, B, H].
    """

    @staticmethod
    def forward(
        ctx: Any, triton: ModuleType | None, projected: Tensor, weights: Tensor, inner: Tensor | None, lengths: Tensor
    ) -> Tensor:
        weights, inner = weights.contiguous(), None if inner is None else inner.contiguous()
        projected, lengths = projected.contiguous(), lengths.contiguous()
        outputs, states, gates = (triton.read if triton else read)(projected, weights, inner, lengths)
        ctx.triton = triton
        ctx.save_for_backward(weights, inner, lengths, outputs, states, gates)
        return outputs[:, 1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, inner, lengths, outputs, states, gates = ctx.saved_tensors
        function = ctx.triton.gate_gradients if ctx.triton else gate_gradients
        d_gates = function(gradient.contiguous(), weights, lengths, states, gates)
        width = weights.shape[1]
        d_weights = d_gates[..., -width:].flatten(1, 2).transpose(1, 2) @ outputs[:, :-1].flatten(1, 2)
        d_inner = None if inner is None else d_gates[..., width:].sum((1, 2), dtype=inner.dtype)
        return None, d_gates[..., :width], d_weights, d_inner, None


def read(projected: Tensor, weights: Tensor, inner: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run the forward pass over the positions.

    Shapes: as `_FusedRecurrent` -> outputs h [R, 1 + N, B, H]; h of a GRU or c of an LSTM [R, 1 + N, B, H], in fp32 or
        wider; and gates [R, N, B, 4 H], in fp32 or wider. The state before the first position is zero.
    """
    networks, positions, documents, _ = projected.shape
    wide, weights = torch.promote_types(projected.dtype, torch.float32), weights.transpose(1, 2)
    h = state = projected.new_zeros(networks, documents, weights.shape[1], dtype=wide)
    steps, step_gates = [(h.to(projected.dtype), state)], []
    for step in range(positions):
        p, product = projected[:, step].to(wide), (h.to(projected.dtype) @ weights).to(wide)
        h, state, gates = _lstm_step(p, product, state) if inner is None else _gru_step(p, product, inner, state)
        steps.append((h.to(projected.dtype), state))
        step_gates.append(gates)
    outputs, states = (torch.stack(tensors, dim=1) for tensors in zip(*steps, strict=True))
    return outputs, states, torch.stack(step_gates, dim=1)


def _gru_step(p: Tensor, product: Tensor, inner: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    (p_n, p_r, p_z), (u_r, u_z, u_n) = p.chunk(3, dim=2), product.chunk(3, dim=2)
    r, z, m = torch.sigmoid(p_r + u_r), torch.sigmoid(p_z + u_z), u_n + inner.unsqueeze(1)
    n = torch.tanh(p_n + r * m)
    h = (1 - z) * n + z * h
    return h, h, torch.cat([n, r, z, m], dim=2)


def _lstm_step(p: Tensor, product: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    i, f, g, o = (p + product).chunk(4, dim=2)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = f * c + i * g
    return o * torch.tanh(c), c, torch.cat([i, f, g, o], dim=2)


def gate_gradients(gradient: Tensor, weights: Tensor, lengths: Tensor, states: Tensor, gates: Tensor) -> Tensor:
    """Run the backward pass over the positions.

    Args:
        gradient: gradient of the outputs, zero after a document's length.
        weights, lengths: as for `read`.
        states, gates: results of `read`.

    Shapes: -> gradients of the inputs of the nonlinearities, and of m, [R, N, B, 4 H] in the type of the weights.
    """
    width, hidden = weights.shape[1:]
    step_back = _lstm_step_back if width == 4 * hidden else _gru_step_back
    carried = product = torch.zeros_like(states[:, 0])
    step_gradients = []
    for step in reversed(range(gates.shape[1])):
        step_gates, dh = gates[:, step].chunk(4, dim=2), gradient[:, step].to(gates.dtype) + product
        d_gates, carried = step_back(dh, carried, step_gates, states[:, step], states[:, step + 1])
        step_gradients.append(torch.cat(d_gates, dim=2).to(weights.dtype))
        product = (step_gradients[-1][..., -width:] @ weights).to(gates.dtype)
    return torch.stack(step_gradients[::-1], dim=1)


def _gru_step_back(
    dh: Tensor, carried: Tensor, gates: Sequence[Tensor], before: Tensor, h: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Compute the gradients of the gates, and of h of the position before without U^T d(U h)."""
    (n, r, z, m), dh = gates, dh + carried
    dn = dh * (1 - z) * (1 - n * n)
    dm = dn * r
    return (dn, dm * m * (1 - r), dh * (before - n) * z * (1 - z), dm), dh * z


def _lstm_step_back(
    dh: Tensor, carried: Tensor, gates: Sequence[Tensor], before: Tensor, c: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Compute the gradients of the gates, and of c of the position before."""
    (i, f, g, o), c = gates, torch.tanh(c)
    dc = carried + dh * o * (1 - c * c)
    return (dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * c * o * (1 - o)), dc * f


def _kernels(network: nn.RNNBase, x: Tensor) -> ModuleType | None:
    """Return the Triton kernels for a network that reads x, or None to use torch."""
    cell = "gru" if isinstance(network, nn.GRU) else "lstm"
    shape = ShapeClass("recurrent networks", (network.hidden_size,), product_type(x), x.device, cell)
    return kernels.select(shape, _load, KERNEL_BYTES, small_problem)


def small_problem(shape: ShapeClass) -> Solve:
    """Build two networks that read two documents, no multiple of a tile, on which kernels are checked.

    The problem has a separate random generator, so the random numbers of a training do not change.
    """
    (hidden,), gates, random = shape.widths, 3 if shape.cell == "gru" else 4, torch.Generator().manual_seed(0)
    networks, documents, positions, inputs = 2, 2, 150, 8

    def sample(*size: int, scale: float = 1.0) -> Tensor:
        numbers = scale * torch.randn(size, generator=random, device="cpu")
        return numbers.to(shape.device, shape.dtype)  # rounded once, so that all types have the same inputs

    tensors = {
        "words": sample(networks, documents, positions, inputs),
        "weights of words": sample(networks, gates, hidden, inputs, scale=inputs**-0.5),
        "weights of the state": sample(networks, gates, hidden, hidden, scale=hidden**-0.5),
        "biases": sample(networks, gates, hidden, scale=hidden**-0.5),
    }
    if shape.cell == "gru":
        tensors["biases of the state"] = sample(networks, hidden, scale=hidden**-0.5)
    lengths = torch.tensor([positions, positions - 53], device=shape.device)
    real = position_mask(lengths, positions).unsqueeze(2)
    gradient = sample(networks, documents, positions, hidden) * real

    def solve(triton: ModuleType | None, dtype: torch.dtype) -> Results:
        wide = torch.promote_types(dtype, torch.float32)  # the type of parameters and words
        leaves = [tensor.to(wide).detach().requires_grad_() for tensor in tensors.values()]
        words, input_weights, state_weights, biases, *inner = leaves
        weights = input_weights, state_weights, biases, inner[0] if inner else None
        outputs = _outputs(triton, words, weights, lengths, dtype)
        gradients = torch.autograd.grad(outputs, leaves, gradient.to(outputs.dtype))
        return Results(outputs.detach() * real, dict(zip(tensors, gradients, strict=True)))

    return solve


def _load() -> ModuleType:
    from medcode.layers import fused_recurrent_triton

    return fused_recurrent_triton
