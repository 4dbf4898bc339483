"""The two steps of `fused_attention` that compute scores, as Triton kernels with the same names and results.

A program computes a tile of labels by positions in registers: two matrix products over the K and D features, TILE_D at
a time, and the softmax statistics or gradients of the tile. A tile that exceeds the matrix reads the last row or
position again, and masks it when it writes. Tiles are fixed, not tuned at run time: another tile adds in another order,
and a training would not be reproducible.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from medcode.layers.masks import MASKED

# By bytes of a number: labels, positions and features of a tile, warps, stages of the software pipeline. For 16 bits
# on Hopper: two 128 x 128 sums in 128 registers of each thread, 96 of 228 KiB of shared memory.
TILES = {2: (128, 128, 64, 8, 3), 4: (64, 64, 32, 4, 3)}
# Features and positions are padded to multiples of these: loads and stores are wide, and TILE_D divides the features.
FEATURES, POSITIONS = 64, 16

FLOOR = tl.constexpr(MASKED)
# The interpreter stores bf16 as bits, and would multiply those.
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


def aligned(
    queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Pad features with zeros, which change no product, and positions with masked ones, as the kernels require."""
    pad, extra = nn.functional.pad, -keys.shape[1] % POSITIONS
    if extra:
        mask = pad(keys.new_ones(keys.shape[:2], dtype=torch.bool) if mask is None else mask, (0, extra))
    queries, outputs = (pad(matrix, (0, -matrix.shape[1] % FEATURES)) for matrix in (queries, outputs))
    keys, values = (pad(features, (0, -features.shape[2] % FEATURES, 0, extra)) for features in (keys, values))
    return queries, keys, values, outputs, mask


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """See `fused_attention.attend`."""
    (documents, positions), labels = keys.shape[:2], len(queries)
    z, log_sum = (keys.new_empty(documents, labels, dtype=torch.float32) for _ in range(2))
    sizes, options = _tiles(keys, values)
    _attend[(triton.cdiv(labels, sizes[0]), documents)](
        queries, keys, values, outputs, mask, z, log_sum, labels, positions, *sizes, **options
    )
    return z, log_sum


def score_gradients(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    outputs: Tensor,
    mask: Tensor | None,
    z: Tensor,
    log_sum: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """See `fused_attention.score_gradients`."""
    (documents, positions), labels = keys.shape[:2], len(queries)
    ds, dt = (keys.new_empty(labels, documents * positions) for _ in range(2))
    sizes, options = _tiles(keys, values)
    _score_gradients[(triton.cdiv(labels, sizes[0]), triton.cdiv(positions, sizes[1]), documents)](
        queries, keys, values, outputs, mask, z, log_sum, gradient, ds, dt, labels, positions, *sizes, **options
    )
    return ds, dt


def _tiles(keys: Tensor, values: Tensor) -> tuple[tuple[int, ...], dict[str, int]]:
    *tile, warps, stages = TILES[keys.element_size()]
    return (*tile, keys.shape[2], values.shape[2]), {"num_warps": warps, "num_stages": stages}


@triton.jit
def _products(
    rows, features, row, position,
    TILE_Y: tl.constexpr, TILE_N: tl.constexpr, TILE_D: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Compute products of rows of [Y, WIDTH] and positions of [N, WIDTH], fp32 [TILE_Y, TILE_N]."""
    products = tl.zeros([TILE_Y, TILE_N], tl.float32)
    for start in range(0, WIDTH, TILE_D):
        feature = start + tl.arange(0, TILE_D)
        a = tl.load(rows + row[:, None] * WIDTH + feature[None, :])
        b = tl.load(features + position[None, :] * WIDTH + feature[:, None])
        if INTERPRETED:
            a, b = a.to(tl.float32), b.to(tl.float32)
        products = tl.dot(a, b, products, input_precision="ieee")
    return products


@triton.jit
def _real(mask, document, position, positions):
    """Return the mask of real positions of a tile."""
    real = position < positions
    if mask is not None:
        real = real & tl.load(mask + document * positions + position, mask=real, other=0).to(tl.int1)
    return real


@triton.jit
def _attend(
    queries, keys, values, outputs, mask, z, log_sum, labels, positions,
    TILE_Y: tl.constexpr, TILE_N: tl.constexpr, TILE_D: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Compute a tile of labels over all positions of a document."""
    label = tl.program_id(0) * TILE_Y + tl.arange(0, TILE_Y)
    row, document = tl.minimum(label, labels - 1), tl.program_id(1).to(tl.int64)
    keys += document * positions * K
    values += document * positions * D
    highest = tl.full([TILE_Y], FLOOR, tl.float32)
    total = tl.zeros([TILE_Y], tl.float32)
    weighted = tl.zeros([TILE_Y], tl.float32)
    for start in range(0, positions, TILE_N):
        position = start + tl.arange(0, TILE_N)
        place = tl.minimum(position, positions - 1)
        scores = _products(queries, keys, row, place, TILE_Y, TILE_N, TILE_D, K)
        scores = tl.where(_real(mask, document, position, positions)[None, :], scores, FLOOR)
        products = _products(outputs, values, row, place, TILE_Y, TILE_N, TILE_D, D)
        peak = tl.maximum(highest, tl.max(scores, 1))
        shares = tl.exp(scores - peak[:, None])
        decay = tl.exp(highest - peak)
        total = total * decay + tl.sum(shares, 1)
        weighted = weighted * decay + tl.sum(shares * products, 1)
        highest = peak
    index = document * labels + label
    tl.store(z + index, weighted / total, mask=label < labels)
    tl.store(log_sum + index, highest + tl.log(total), mask=label < labels)


@triton.jit
def _score_gradients(
    queries, keys, values, outputs, mask, z, log_sum, gradient, ds, dt, labels, positions,
    TILE_Y: tl.constexpr, TILE_N: tl.constexpr, TILE_D: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Compute a tile of labels by positions of a document."""
    label = tl.program_id(0) * TILE_Y + tl.arange(0, TILE_Y)
    position = tl.program_id(1) * TILE_N + tl.arange(0, TILE_N)
    document = tl.program_id(2).to(tl.int64)
    keys += document * positions * K
    values += document * positions * D
    row, place = tl.minimum(label, labels - 1), tl.minimum(position, positions - 1)
    scores = _products(queries, keys, row, place, TILE_Y, TILE_N, TILE_D, K)
    scores = tl.where(_real(mask, document, position, positions)[None, :], scores, FLOOR)
    products = _products(outputs, values, row, place, TILE_Y, TILE_N, TILE_D, D)
    index = document * labels + row
    d_products = tl.exp(scores - tl.load(log_sum + index)[:, None]) * tl.load(gradient + index)[:, None]
    d_scores = d_products * (products - tl.load(z + index)[:, None])
    start = label.to(tl.int64) * tl.num_programs(2) * positions + document * positions
    inside = (label < labels)[:, None] & (position < positions)[None, :]
    tl.store(ds + start[:, None] + position[None, :], d_scores.to(ds.dtype.element_ty), mask=inside)
    tl.store(dt + start[:, None] + position[None, :], d_products.to(dt.dtype.element_ty), mask=inside)
