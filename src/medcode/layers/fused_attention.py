"""Label attention that streams over the positions, for many labels.

    s_yn = q_y . k_n,   p_y = softmax_n(s_y),   t_yn = w_y . v_n,   z_y = sum_n p_yn t_yn

for queries q and output weights w of each label y, and keys k and values v of each position n of a document. The plain
form stores s, p and t, three tensors of [B, Y, N]; here they exist for a slice of the positions at a time. Forward
keeps a running maximum and running sums (the online softmax of Milakov and Gimelshein 2018, "Online normalizer
calculation for softmax"), and saves z and the logarithm of the softmax's denominator, [B, Y] each. Backward recomputes
s and t of a slice, as FlashAttention does (Dao et al. 2022), so that p = exp(s - log of the denominator). With
g_y the gradient of z_y,

    dz_y/dt_yn = p_yn                 so  dt_yn = g_y p_yn
    dz_y/ds_yn = p_yn (t_yn - z_y)    so  ds_yn = g_y p_yn (t_yn - z_y) = dt_yn (t_yn - z_y)

    dQ = sum over documents and slices of ds K,   dW = likewise dt V,   dK = ds^T Q,   dV = dt^T W.

The second line is the derivative of the softmax, dp_ym/ds_yn = p_ym (1[m = n] - p_yn), summed against t. Slices run
over positions, not labels, because each slice then completes its part of dK and dV, and only dQ and dW, which have no
batch axis, are accumulated. FlashAttention's two backward kernels, which keep the sums on the chip, would have to
recompute s and t for each 256 of the K + D features; with ds and dt of a slice in memory they are computed once, and
the four products above are ordinary matrix products, for any K and D. There are no atomic additions: gradients are
deterministic.

The two steps that compute scores are functions of this file (`attend`, `score_gradients`) and kernels of the same names
in `fused_attention_triton`, which a CUDA device uses where `kernels` selects them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from medcode.layers import kernels
from medcode.layers.kernels import Results, ShapeClass, Solve, product_type
from medcode.layers.masks import MASKED

# Up to this number of labels the plain form is as fast or faster, and its tensors are small.
PLAIN_LABELS = 256
# Size of a slice, labels x documents x positions, limited by the cache of a CPU, and by launches and memory of a GPU.
CPU_SLICE, CUDA_SLICE = 2**22, 2**26
# Slices start at a multiple of this, a tile of the kernels.
CUDA_TILE = 128
# Shared memory that a program of the kernels needs: less than an A100, an H100 and their successors have.
KERNEL_BYTES = 132 * 1024


def should_fuse(labels: int, features: Tensor) -> bool:
    """Return whether `fused_attention` computes this number of labels, rather than the plain form.

    The mode `fused` uses kernels wherever they run, and only `fused_attention` has kernels.
    """
    return labels > PLAIN_LABELS or (
        kernels.current_mode() == "fused" and kernels.can_run(features.device, features.dtype)
    )


def fused_attention(queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the attention-weighted sum over positions of w_y . v_n, for every label y.

    The softmax and all sums are in fp32 (float64 for float64). Under autocast the matrix products are in its type.
    Heads that share keys and values are computed in one call, with their labels concatenated.

    Args:
        queries: [Y, K].
        keys: [B, N, K].
        values: [B, N, D].
        outputs: [Y, D].
        mask: bool [B, N], true at least once in each row; None masks nothing.

    Shapes: -> [B, Y], fp32 (float64 for float64).
    """
    dtype = product_type(keys)
    matrices = [matrix.to(dtype) for matrix in (queries, keys, values, outputs)]
    widths = queries.shape[1], outputs.shape[1]
    return _attention(_kernels(widths, dtype, keys.device), *matrices, mask)


def _attention(triton: ModuleType | None, *inputs: Tensor | None) -> Tensor:
    """Compute `fused_attention` of matrices of one type and a mask, by kernels, or by the functions below for None."""
    return _FusedAttention.apply(triton, *(inputs if triton is None else triton.aligned(*inputs)))


class _FusedAttention(torch.autograd.Function):
    """z of the module docstring; `triton` is the module of Triton kernels, or None for the functions below."""

    @staticmethod
    def forward(
        ctx: Any,
        triton: ModuleType | None,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        outputs: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        inputs = [tensor.contiguous() for tensor in (queries, keys, values, outputs)]
        z, log_sum = (triton.attend if triton else attend)(*inputs, mask)
        ctx.triton = triton
        ctx.save_for_backward(*inputs, mask, z, log_sum)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, outputs, mask, z, log_sum = ctx.saved_tensors
        function = ctx.triton.score_gradients if ctx.triton else score_gradients
        documents, gradient = len(keys), gradient.contiguous()
        d_queries, d_outputs = (torch.zeros_like(matrix, dtype=z.dtype) for matrix in (queries, outputs))
        d_keys, d_values = torch.empty_like(keys), torch.empty_like(values)
        for part in _slices(keys, len(queries)):
            k, v = keys[:, part].contiguous(), values[:, part].contiguous()
            part_mask = None if mask is None else mask[:, part].contiguous()
            ds, dt = function(queries, k, v, outputs, part_mask, z, log_sum, gradient)  # [Y, B n]
            d_queries += ds @ k.flatten(0, 1)
            d_outputs += dt @ v.flatten(0, 1)
            d_keys[:, part] = (ds.T @ queries).unflatten(0, (documents, -1))
            d_values[:, part] = (dt.T @ outputs).unflatten(0, (documents, -1))
        return None, d_queries.to(queries.dtype), d_keys, d_values, d_outputs.to(outputs.dtype), None


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, outputs: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute z and the logarithm of the softmax's denominator, [B, Y] each."""
    shape = len(queries), len(keys)
    wide = torch.promote_types(keys.dtype, torch.float32)
    highest = keys.new_full(shape, MASKED, dtype=wide)
    total, weighted = (keys.new_zeros(shape, dtype=wide) for _ in range(2))
    for part in _slices(keys, len(queries)):
        scores = _products(queries, keys[:, part], None if mask is None else mask[:, part])
        peak = torch.maximum(highest, scores.amax(2))
        shares, decay = scores.sub_(peak.unsqueeze(2)).exp_(), (highest - peak).exp_()
        total = total * decay + shares.sum(2)
        weighted = weighted * decay + shares.mul_(_products(outputs, values[:, part])).sum(2)
        highest = peak
    return (weighted / total).T.contiguous(), (highest + total.log()).T.contiguous()


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
    """Compute ds and dt of a slice of n positions.

    Args:
        queries, outputs: as for `fused_attention`.
        keys, values, mask: their part in the slice.
        z, log_sum: results of `attend`.
        gradient: gradient of z.

    Shapes: -> [Y, B n] each, in the type of the keys.
    """
    z, log_sum, gradient = (tensor.T.unsqueeze(2) for tensor in (z, log_sum, gradient))
    dt = _products(queries, keys, mask).sub_(log_sum).exp_().mul_(gradient)  # [Y, B, n]
    ds = _products(outputs, values).sub_(z).mul_(dt)
    return ds.flatten(1).to(keys.dtype), dt.flatten(1).to(keys.dtype)


def _products(rows: Tensor, features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute products of [Y, D] and [B, n, D], [Y, B, n] in fp32 or wider."""
    products = rows @ features.reshape(-1, features.shape[2]).T
    products = products.to(torch.promote_types(products.dtype, torch.float32)).unflatten(1, features.shape[:2])
    return products if mask is None else products.masked_fill_(~mask, MASKED)


def _slices(keys: Tensor, labels: int) -> list[slice]:
    documents, positions = keys.shape[:2]
    size = (CUDA_SLICE if keys.is_cuda else CPU_SLICE) // (documents * labels)
    size = max(CUDA_TILE, size // CUDA_TILE * CUDA_TILE) if keys.is_cuda else max(1, size)
    return [slice(start, start + size) for start in range(0, positions, size)]


def _kernels(widths: tuple[int, int], dtype: torch.dtype, device: torch.device) -> ModuleType | None:
    """Return the Triton kernels for K and D, or None to use the functions above."""
    return kernels.select(ShapeClass("label attention", widths, dtype, device), _load, KERNEL_BYTES, small_problem)


def small_problem(shape: ShapeClass) -> Solve:
    """Build a small label attention to check kernels on; its sizes are no multiples of a tile.

    It has a separate random generator, so the random numbers of a training do not change. All four matrices have one
    scale, at which scores are near 1 and gradients have similar norms, so that an error in any of them is detected.
    """
    random, (width, value_width), (labels, documents, positions) = torch.Generator(), shape.widths, (200, 2, 150)
    random.manual_seed(0)
    shapes = (labels, width), (documents, positions, width), (documents, positions, value_width), (labels, value_width)
    samples = (torch.randn(size, generator=random, device="cpu") / size[-1] ** 0.25 for size in shapes)
    inputs = [sample.to(shape.device, shape.dtype) for sample in samples]
    mask = torch.rand(documents, positions, generator=random, device="cpu") < 0.8
    mask[:, 0] = True
    mask = mask.to(shape.device)
    gradient = torch.randn(documents, labels, generator=random, device="cpu").to(shape.device)

    def solve(triton: ModuleType | None, dtype: torch.dtype) -> Results:
        leaves = [tensor.to(dtype).detach().requires_grad_() for tensor in inputs]
        z = _attention(triton, *leaves, mask)
        gradients = torch.autograd.grad(z, leaves, gradient.to(z.dtype))
        return Results(z.detach(), dict(zip(("queries", "keys", "values", "outputs"), gradients, strict=True)))

    return solve


def _load() -> ModuleType:
    from medcode.layers import fused_attention_triton

    return fused_attention_triton
