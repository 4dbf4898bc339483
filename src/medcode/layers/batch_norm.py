"""Batch normalization over the real positions of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.distributed.nn import functional as across_processes

from medcode.layers.convolution import as_image


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalization with statistics over real positions only.

    Source: Ioffe and Szegedy 2015; parameters and buffers are those of torch's BatchNorm1d. Where processes share a
    batch, statistics are over the whole batch.

    Args:
        num_features: D; and the other arguments of BatchNorm1d.

    Shapes: [B, D, N], bool [B, N] or None -> [B, D, N]; outputs at padding are undefined.
    """

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if not self.training:
            return super().forward(x)
        on_cpu = x.device.type == "cpu" and x.dtype == self.weight.dtype and not _shares_batch()
        if on_cpu and mask is None and x.shape[0] * x.shape[2] > 1:
            self.num_batches_tracked += 1
            statistics = self.running_mean, self.running_var
            return nn.functional.batch_norm(
                as_image(x), *statistics, self.weight, self.bias, True, self.momentum, self.eps
            ).squeeze(2)
        real = x.new_ones(x.shape[0], 1, x.shape[2]) if mask is None else mask.unsqueeze(1)
        real = real.to(self.weight.dtype)
        if on_cpu:
            normalized, mean, variance = _Normalize.apply(x, real, self.weight, self.bias, self.eps)
            count = real.sum()
        else:
            values = x.to(self.weight.dtype)  # fp32 where x is bf16
            count = _sum(real.sum())
            mean = _sum((values * real).sum((0, 2))) / count  # [D]
            centered = (values - mean.unsqueeze(1)) * real
            variance = _sum(centered.square().sum((0, 2))) / count  # [D]
            scale = self.weight * torch.rsqrt(variance + self.eps)  # [D]
            normalized = ((values - mean.unsqueeze(1)) * scale.unsqueeze(1) + self.bias.unsqueeze(1)).to(x.dtype)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        return normalized


class _Normalize(torch.autograd.Function):
    """Normalization in few passes over memory, which take the time on a CPU.

    torch's batch normalization with fixed statistics does those passes that do not depend on the mask.

    Shapes: [B, D, N], 0 or 1 [B, 1, N], weight [D], bias [D] -> [B, D, N], mean [D], variance [D].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, real: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, real = as_image(x), real.unsqueeze(2)
        count = real.sum()
        mean = (x * real).sum((0, 2, 3)) / count
        centered = (x - _channel(mean)).mul_(real)
        variance = centered.square_().sum((0, 2, 3)) / count
        normalized = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        ctx.save_for_backward(x, real, weight, mean, variance, count)
        return normalized.squeeze(2), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, real, weight, mean, variance, count = ctx.saved_tensors
        d_x, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
            as_image(gradient), x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        # Through mean and variance: weight / deviation (d_bias + d_weight (x - mean) / deviation) / count everywhere.
        deviation = (variance + ctx.eps).sqrt()
        slope = weight * d_weight / (deviation * deviation * count)
        constant = weight * d_bias / (deviation * count) - slope * mean
        through = torch.addcmul(_channel(constant), x, _channel(slope))
        return d_x.addcmul_(through, real, value=-1).squeeze(2), None, d_weight, d_bias, None


def _channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def _shares_batch() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1


def _sum(value: Tensor) -> Tensor:
    """Sum a tensor over the processes of a distributed training, differentiably."""
    return across_processes.all_reduce(value) if _shares_batch() else value
