"""Batch normalization over the real positions of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional as across_processes


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
        real = x.new_ones(x.shape[0], 1, x.shape[2]) if mask is None else mask.unsqueeze(1)
        values, real = x.to(self.weight.dtype), real.to(self.weight.dtype)  # fp32 where x is bf16
        count = _sum(real.sum())
        mean = _sum((values * real).sum((0, 2))) / count  # [D]
        centered = (values - mean.unsqueeze(1)) * real
        variance = _sum(centered.square().sum((0, 2))) / count  # [D]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)  # [D]
        return ((values - mean.unsqueeze(1)) * scale.unsqueeze(1) + self.bias.unsqueeze(1)).to(x.dtype)


def _sum(value: Tensor) -> Tensor:
    """Sum a tensor over the processes of a distributed training, differentiably."""
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        return across_processes.all_reduce(value)
    return value
