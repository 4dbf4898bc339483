"""The forward and the backward pass of `fused_recurrent` as Triton kernels with the same names and results.

A program runs a tile of documents through one network, from the first position to the last of the longest document. So
networks, and other models on other streams, run in parallel, without a launch for each position. Programs share
nothing. At a position a program computes TILE_H units of the state at a time, and reads their recurrent weights from
the second-level cache: all weights exceed the memory of a multiprocessor. Programs that split a network's units could
keep their weights, but would have to synchronize at every position. Then all would have to run at the same time, and
the interpreter, which runs them one after the other, could not test it.

While a CUDA graph is captured, launches cost the host nothing at replay. Then each position is a separate launch, in
which a program computes TILE_H units, so that many multiprocessors read the weights at once. The kernels are the same,
and the results are bit-identical.

The previous state is read from the outputs that the program wrote, after a barrier, which makes them visible to all its
threads. The loop over positions must not be pipelined: it would read ahead outputs that are not yet written. Tiles are
fixed, not tuned at run time: another tile adds in another order, and a training would not be reproducible.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

# By bytes of a number: documents, units and features of a tile, warps, stages of the software pipeline. For 16 bits: 3
# or 4 tiles of weights of 8 KiB in a stage; three stages in flight hide the latency of a read.
TILES = {2: (16, 64, 64, 8, 4), 4: (16, 64, 32, 8, 3)}
# Where each position is a separate launch: half the units, so twice as many multiprocessors (measured on an H200).
SPREAD_TILES = {2: (16, 32, 64, 4, 5), 4: (16, 64, 32, 8, 3)}
# Hidden units are padded to a multiple of this, which TILE_H and TILE_K divide.
UNITS = 64
# Arguments that change from call to call: kernels are not specialized for their values.
PLAIN = ["documents", "positions", "first", "last", "tiles"]

# The interpreter stores bf16 as bits, and would multiply those.
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


def aligned(
    input_weights: Tensor, state_weights: Tensor, biases: Tensor, inner: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Pad hidden units with units of zero weights, whose state stays zero, as the kernels require.

    Shapes: [R, G, H, E], [R, G, H, H], [R, G, H], [R, H] -> the same with more H.
    """
    pad, extra = nn.functional.pad, -state_weights.shape[2] % UNITS
    input_weights, state_weights = pad(input_weights, (0, 0, 0, extra)), pad(state_weights, (0, extra, 0, extra))
    return input_weights, state_weights, pad(biases, (0, extra)), None if inner is None else pad(inner, (0, extra))


def read(projected: Tensor, weights: Tensor, inner: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See `fused_recurrent.read`; gates are in the type of the outputs, which are zero outside of documents."""
    (networks, positions, documents, _), hidden = projected.shape, weights.shape[2]
    outputs = projected.new_zeros(networks, 1 + positions, documents, hidden)
    states = torch.zeros_like(outputs, dtype=torch.float32)
    gates = projected.new_empty(networks, positions, documents, 4 * hidden)
    tensors = projected, weights, inner, lengths, outputs, states, gates
    _launch(_read, tensors, weights.shape, documents, range(positions))
    return outputs, states, gates


def gate_gradients(gradient: Tensor, weights: Tensor, lengths: Tensor, states: Tensor, gates: Tensor) -> Tensor:
    """See `fused_recurrent.gate_gradients`."""
    networks, positions, documents, width = gates.shape
    d_gates = gates.new_zeros(networks, positions + 1, documents, width)  # zero after the last position
    tensors = gradient, weights, lengths, states, gates, d_gates, torch.zeros_like(states[:, 0])
    _launch(_gate_gradients, tensors, weights.shape, documents, range(positions)[::-1])
    return d_gates[:, :-1]


def _launch(kernel: triton.JITFunction, tensors: tuple, shape: torch.Size, documents: int, order: range) -> None:
    """Launch a kernel for all positions."""
    (networks, width, hidden), positions = shape, len(order)
    spread = spreads()
    tile_b, tile_h, tile_k, warps, stages = (SPREAD_TILES if spread else TILES)[tensors[1].element_size()]
    tiles = hidden // tile_h
    grid = triton.cdiv(documents, tile_b), networks, tiles if spread else 1
    for first, last in ((step, step + 1) for step in order) if spread else [(0, positions)]:
        kernel[grid](
            *tensors, documents, positions, first, last, 1 if spread else tiles,
            width // hidden, hidden, tile_b, tile_h, tile_k, num_warps=warps, num_stages=stages,
        )  # fmt: skip


def spreads() -> bool:
    """Return whether to launch one kernel for each position, so that many programs share its units."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


@triton.jit
def _product(a, b, sums):
    if INTERPRETED:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, sums, input_precision="ieee")


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _four(start, width):
    """Load four adjacent parts of rows, `width` apart."""
    a, b = tl.load(start).to(tl.float32), tl.load(start + width).to(tl.float32)
    return a, b, tl.load(start + 2 * width).to(tl.float32), tl.load(start + 3 * width).to(tl.float32)


@triton.jit
def _store_four(start, width, a, b, c, d, mask):
    dtype = start.dtype.element_ty
    tl.store(start, a.to(dtype), mask=mask)
    tl.store(start + width, b.to(dtype), mask=mask)
    tl.store(start + 2 * width, c.to(dtype), mask=mask)
    tl.store(start + 3 * width, d.to(dtype), mask=mask)


@triton.jit
def _state_products(
    outputs, weights, row, unit,
    G: tl.constexpr, HIDDEN: tl.constexpr, TILE_B: tl.constexpr, TILE_H: tl.constexpr, TILE_K: tl.constexpr,
):  # fmt: skip
    """Compute products of rows of outputs and the weights of units in each gate, fp32 [TILE_B, TILE_H]."""
    a = tl.zeros([TILE_B, TILE_H], tl.float32)
    b = tl.zeros([TILE_B, TILE_H], tl.float32)
    c = tl.zeros([TILE_B, TILE_H], tl.float32)
    d = tl.zeros([TILE_B, TILE_H], tl.float32)
    for start in range(0, HIDDEN, TILE_K):
        feature = start + tl.arange(0, TILE_K)
        h = tl.load(outputs + row[:, None] * HIDDEN + feature[None, :])
        tile = weights + unit[None, :] * HIDDEN + feature[:, None]
        a = _product(h, tl.load(tile), a)
        b = _product(h, tl.load(tile + HIDDEN * HIDDEN), b)
        c = _product(h, tl.load(tile + 2 * HIDDEN * HIDDEN), c)
        if G == 4:
            d = _product(h, tl.load(tile + 3 * HIDDEN * HIDDEN), d)
    return a, b, c, d


@triton.jit(do_not_specialize=PLAIN)
def _read(
    projected, weights, inner, lengths, outputs, states, gates, documents, positions, first, last, tiles,
    G: tl.constexpr, HIDDEN: tl.constexpr, TILE_B: tl.constexpr, TILE_H: tl.constexpr, TILE_K: tl.constexpr,
):  # fmt: skip
    """Run positions first to last - 1 of a tile of documents, for `tiles` tiles of units."""
    document, network = tl.program_id(0) * TILE_B + tl.arange(0, TILE_B), tl.program_id(1).to(tl.int64)
    inside, column = (document < documents)[:, None], tl.minimum(document, documents - 1)
    last = tl.minimum(last, tl.max(tl.load(lengths + column)).to(tl.int32))
    weights += network * G * HIDDEN * HIDDEN
    for step in tl.range(first, last, num_stages=1):
        row = (network * positions + step) * documents + column
        before = row + network * documents  # in outputs and states, which start one position earlier
        for tile in tl.range(tl.program_id(2) * tiles, (tl.program_id(2) + 1) * tiles, num_stages=1):
            unit = tile * TILE_H + tl.arange(0, TILE_H)
            at = before[:, None] * HIDDEN + unit[None, :]
            inputs = projected + row[:, None] * (G * HIDDEN) + unit[None, :]
            # Loads are issued before the products, to overlap with them.
            state = tl.load(states + at)
            if G == 3:
                n, r, z = tl.load(inputs), tl.load(inputs + HIDDEN), tl.load(inputs + 2 * HIDDEN)
                bias = tl.load(inner + network * HIDDEN + unit)
                u_r, u_z, u_n, _ = _state_products(outputs, weights, before, unit, G, HIDDEN, TILE_B, TILE_H, TILE_K)
                a, b, c, d, state = _gru_step(n.to(tl.float32), r, z, u_r, u_z, u_n + bias[None, :], state)
                h = state
            else:
                a, b, c, d = _four(inputs, HIDDEN)
                i, f, g, o = _state_products(outputs, weights, before, unit, G, HIDDEN, TILE_B, TILE_H, TILE_K)
                a, b, c, d, state, h = _lstm_step(a + i, b + f, c + g, d + o, state)
            at += documents.to(tl.int64) * HIDDEN
            tl.store(outputs + at, h.to(outputs.dtype.element_ty), mask=inside)
            tl.store(states + at, state, mask=inside)
            _store_four(gates + row[:, None] * (4 * HIDDEN) + unit[None, :], HIDDEN, a, b, c, d, inside)
        tl.debug_barrier()


@triton.jit
def _gru_step(p_n, p_r, p_z, u_r, u_z, m, h):
    r, z = tl.sigmoid(p_r + u_r), tl.sigmoid(p_z + u_z)
    n = _tanh(p_n + r * m)
    return n, r, z, m, (1 - z) * n + z * h


@triton.jit
def _lstm_step(i, f, g, o, c):
    i, f, g, o = tl.sigmoid(i), tl.sigmoid(f), _tanh(g), tl.sigmoid(o)
    c = f * c + i * g
    return i, f, g, o, c, o * _tanh(c)


@triton.jit(do_not_specialize=PLAIN)
def _gate_gradients(
    gradient, weights, lengths, states, gates, d_gates, carried, documents, positions, first, last, tiles,
    G: tl.constexpr, HIDDEN: tl.constexpr, TILE_B: tl.constexpr, TILE_H: tl.constexpr, TILE_K: tl.constexpr,
):  # fmt: skip
    """Run positions last - 1 back to first of a tile of documents, for `tiles` tiles of units."""
    document, network = tl.program_id(0) * TILE_B + tl.arange(0, TILE_B), tl.program_id(1).to(tl.int64)
    inside, column = (document < documents)[:, None], tl.minimum(document, documents - 1)
    last = tl.minimum(last, tl.max(tl.load(lengths + column)).to(tl.int32))
    weights += network * G * HIDDEN * HIDDEN
    carried += (network * documents + column)[:, None] * HIDDEN
    for step in tl.range(last - 1, first - 1, -1, num_stages=1):
        row = (network * positions + step) * documents + column
        before = row + network * documents  # in states, which start one position earlier,
        target = d_gates + before[:, None] * (4 * HIDDEN)  # and here in gradients, which end one position later
        after = target + documents.to(tl.int64) * (4 * HIDDEN) + (4 - G) * HIDDEN
        for tile in tl.range(tl.program_id(2) * tiles, (tl.program_id(2) + 1) * tiles, num_stages=1):
            unit = tile * TILE_H + tl.arange(0, TILE_H)
            at = states + before[:, None] * HIDDEN + unit[None, :]
            # Loads are issued before the products, to overlap with them.
            a, b, c, d = _four(gates + row[:, None] * (4 * HIDDEN) + unit[None, :], HIDDEN)
            state, state_after = tl.load(at), tl.load(at + documents.to(tl.int64) * HIDDEN)
            carry = tl.load(carried + unit[None, :])
            dh = tl.load(gradient + row[:, None] * HIDDEN + unit[None, :]).to(tl.float32)
            for start in range(0, HIDDEN, TILE_K):
                for gate in tl.static_range(G):
                    place = gate * HIDDEN + start + tl.arange(0, TILE_K)
                    weight = tl.load(weights + place[:, None] * HIDDEN + unit[None, :])
                    dh = _product(tl.load(after + place[None, :]), weight, dh)
            if G == 3:
                a, b, c, d, carry = _gru_step_back(dh + carry, a, b, c, d, state)
            else:
                a, b, c, d, carry = _lstm_step_back(dh, carry, a, b, c, d, state, state_after)
            tl.store(carried + unit[None, :], carry, mask=inside)
            _store_four(target + unit[None, :], HIDDEN, a, b, c, d, inside)
        tl.debug_barrier()


@triton.jit
def _gru_step_back(dh, n, r, z, m, before):
    dn = dh * (1 - z) * (1 - n * n)
    dm = dn * r
    return dn, dm * m * (1 - r), dh * (before - n) * z * (1 - z), dm, dh * z


@triton.jit
def _lstm_step_back(dh, carried, i, f, g, o, before, c):
    c = _tanh(c)
    dc = carried + dh * o * (1 - c * c)
    return dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * c * o * (1 - o), dc * f
