"""GRU and LSTM networks side by side, with their gradients by hand.

torch's own networks launch kernels at every position, one direction after the other. Here a step of the walk is only
what depends on the step before, and networks walk side by side. With p_t the product of the words' vectors and the
input weights, one large product for all positions, and h, c of the position before,

    GRU    r, z = sigmoid(p_t + U h),  m = U_n h + b_n,  n = tanh(p_t + r m),  h' = (1 - z) n + z h
    LSTM   i, f, o = sigmoid(p_t + U h),  g = tanh(p_t + U h),  c' = f c + i g,  h' = o tanh(c')

in the convention of torch, whose biases other than b_n are in p_t. Walking back, dh' is the gradient of an output plus
what comes from the position after, U^T d(U h) and, for a GRU, z dh':

    GRU    dn = dh' (1 - z) (1 - n^2),  dz = dh' (h - n) z (1 - z),  dm = dn r,  dr = dn m r (1 - r)
    LSTM   do = dh' tanh(c') o (1 - o),  dc' = dh' o (1 - tanh(c')^2) + f dc of the position after,
           di = dc' g i (1 - i),  df = dc' c f (1 - f),  dg = dc' i (1 - g^2)

The gradients before the non-linearities are stored, and those of U, of the input weights and of the words are large
products over all positions afterward. Nothing is added atomically: gradients do not depend on chance.

The gates of a position are stored as n, r, z, m, so that what belongs to the words (n, r, z) and what belongs to U
(r, z, m) are slices of it; an LSTM's are i, f, g, o.

The two walks are functions of this file (`read`, `gate_gradients`), and kernels of the same names in
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

# Shared memory that a program of the kernels may take: less than an A100, an H100 and later ones of their kind have.
KERNEL_BYTES = 132 * 1024

# Of words, of the state, biases and b_n: see `_weights`.
Weights = tuple[Tensor, Tensor, Tensor, Tensor | None]


def pays(network: nn.RNNBase, x: Tensor) -> bool:
    """Whether x is read by `fused_recurrent` rather than by a network of torch: where kernels are selected for it."""
    return _kernels(network, x) is not None


def fused_recurrent(networks: Sequence[nn.RNNBase], words: Sequence[Tensor], lengths: Tensor) -> list[Tensor]:
    """Outputs of networks of one layer and one direction, each of its own words.

    State and gates are in fp32 (float64 for float64). Under autocast the matrix products and outputs are in its type.

    Args:
        networks: all nn.GRU or all nn.LSTM, alike in size.
        words: [B, N, E] for each network.
        lengths: int [B], at least 1 and at most N: outputs behind it are finite, and their gradients must be zero.

    Shapes: -> [B, N, H] for each network.
    """
    gates = 3 if isinstance(networks[0], nn.GRU) else 4
    triton, dtype = _kernels(networks[0], words[0]), product_type(words[0])
    return list(_outputs(triton, words, _weights(networks, gates), lengths, dtype))


def _outputs(
    triton: ModuleType | None, words: Sequence[Tensor], weights: Weights, lengths: Tensor, dtype: torch.dtype
) -> Tensor:
    """Outputs of R networks, by kernels, or by the functions below for None, with matrix products in a type.

    Shapes: R times [B, N, E] -> [R, B, N, H].
    """
    hidden = weights[1].shape[3]
    of_words, of_state, biases, inner = weights if triton is None else triton.aligned(*weights)
    x = torch.stack([x.transpose(0, 1) for x in words]).flatten(1, 2).to(dtype)
    of_words, biases = of_words.flatten(1, 2).transpose(1, 2).to(dtype), biases.flatten(1).unsqueeze(1).to(dtype)
    projected = torch.baddbmm(biases, x, of_words).unflatten(1, words[0].shape[1::-1])
    of_state = of_state.flatten(1, 2).to(dtype)
    outputs = _FusedRecurrent.apply(triton, projected, of_state, inner, lengths)  # [R, N, B, H]
    return outputs[..., :hidden].transpose(1, 2)


def _weights(networks: Sequence[nn.RNNBase], gates: int) -> Weights:
    """Of words [R, G, H, E], of the state [R, G, H, H], biases [R, G, H] and b_n [R, H], of R networks with G gates."""
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    of_words, of_state, biases, others = (
        torch.stack([getattr(network, name) for network in networks]).unflatten(1, (gates, -1)) for name in names
    )
    if gates == 4:
        return of_words, of_state, biases + others, None
    outer = torch.cat([others[:, :2], torch.zeros_like(others[:, 2:])], dim=1)
    return of_words.roll(1, 1), of_state, (biases + outer).roll(1, 1), others[:, 2]


class _FusedRecurrent(torch.autograd.Function):
    """The walk of the docstring above; `triton` is the module of the Triton kernels, or None for the functions below.

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
    """Walks along the positions.

    Shapes: as `_FusedRecurrent` -> outputs h [R, 1 + N, B, H]; h of a GRU or c of an LSTM [R, 1 + N, B, H], in fp32 or
        wider; and gates [R, N, B, 4 H], in fp32 or wider. The state before the first position is zero.
    """
    networks, positions, documents, _ = projected.shape
    wide, weights = torch.promote_types(projected.dtype, torch.float32), weights.transpose(1, 2)
    h = state = projected.new_zeros(networks, documents, weights.shape[1], dtype=wide)
    steps, kept = [(h.to(projected.dtype), state)], []
    for step in range(positions):
        p, product = projected[:, step].to(wide), (h.to(projected.dtype) @ weights).to(wide)
        h, state, gates = _lstm_step(p, product, state) if inner is None else _gru_step(p, product, inner, state)
        steps.append((h.to(projected.dtype), state))
        kept.append(gates)
    outputs, states = (torch.stack(each, dim=1) for each in zip(*steps, strict=True))
    return outputs, states, torch.stack(kept, dim=1)


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
    """Walks back along the positions.

    Args:
        gradient: of outputs, zero behind a document's length.
        states, gates: from `read`.

    Shapes: -> [R, N, B, 4 H], of what the non-linearities and m are of, in the type of the weights.
    """
    width, hidden = weights.shape[1:]
    step_back = _lstm_step_back if width == 4 * hidden else _gru_step_back
    carried = product = torch.zeros_like(states[:, 0])
    found = []
    for step in reversed(range(gates.shape[1])):
        own, dh = gates[:, step].chunk(4, dim=2), gradient[:, step].to(gates.dtype) + product
        d_gates, carried = step_back(dh, carried, own, states[:, step], states[:, step + 1])
        found.append(torch.cat(d_gates, dim=2).to(weights.dtype))
        product = (found[-1][..., -width:] @ weights).to(gates.dtype)
    return torch.stack(found[::-1], dim=1)


def _gru_step_back(
    dh: Tensor, carried: Tensor, gates: Sequence[Tensor], before: Tensor, h: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Gradients of the gates; and of h of the position before, but for U^T d(U h)."""
    (n, r, z, m), dh = gates, dh + carried
    dn = dh * (1 - z) * (1 - n * n)
    dm = dn * r
    return (dn, dm * m * (1 - r), dh * (before - n) * z * (1 - z), dm), dh * z


def _lstm_step_back(
    dh: Tensor, carried: Tensor, gates: Sequence[Tensor], before: Tensor, c: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Gradients of the gates; and of c of the position before."""
    (i, f, g, o), c = gates, torch.tanh(c)
    dc = carried + dh * o * (1 - c * c)
    return (dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * c * o * (1 - o)), dc * f


def _kernels(network: nn.RNNBase, x: Tensor) -> ModuleType | None:
    """The Triton kernels for a network that reads x, or None where the work is done without."""
    cell = "gru" if isinstance(network, nn.GRU) else "lstm"
    shape = ShapeClass("recurrent networks", (network.hidden_size,), product_type(x), x.device, cell)
    return kernels.select(shape, _load, KERNEL_BYTES, small_problem)


def small_problem(shape: ShapeClass) -> Solve:
    """Two networks that read two documents, no multiple of a tile, to check kernels on.

    Nothing is drawn from the random numbers of a training.
    """
    (hidden,), gates, random = shape.widths, 3 if shape.cell == "gru" else 4, torch.Generator().manual_seed(0)
    networks, documents, positions, inputs = 2, 2, 150, 8

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        numbers = scale * torch.randn(size, generator=random, device="cpu")
        return numbers.to(shape.device, shape.dtype)  # what is multiplied in this type is the same in every type

    tensors = {
        "words": draw(networks, documents, positions, inputs),
        "weights of words": draw(networks, gates, hidden, inputs, scale=inputs**-0.5),
        "weights of the state": draw(networks, gates, hidden, hidden, scale=hidden**-0.5),
        "biases": draw(networks, gates, hidden, scale=hidden**-0.5),
    }
    if shape.cell == "gru":
        tensors["biases of the state"] = draw(networks, hidden, scale=hidden**-0.5)
    lengths = torch.tensor([positions, positions - 53], device=shape.device)
    real = position_mask(lengths, positions).unsqueeze(2)
    gradient = draw(networks, documents, positions, hidden) * real

    def solve(triton: ModuleType | None, dtype: torch.dtype) -> Results:
        wide = torch.promote_types(dtype, torch.float32)  # in which parameters and words are
        leaves = [tensor.to(wide).detach().requires_grad_() for tensor in tensors.values()]
        words, of_words, of_state, biases, *inner = leaves
        weights = of_words, of_state, biases, inner[0] if inner else None
        outputs = _outputs(triton, words, weights, lengths, dtype)
        gradients = torch.autograd.grad(outputs, leaves, gradient.to(outputs.dtype))
        return Results(outputs.detach() * real, dict(zip(tensors, gradients, strict=True)))

    return solve


def _load() -> ModuleType:
    from medcode.layers import fused_recurrent_triton

    return fused_recurrent_triton
