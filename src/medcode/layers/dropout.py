"""Dropout whose mask does not depend on the number of processes that share a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout over a batch that may be the part of a larger batch that one process computes.

    Every process samples the mask of the whole batch from the same random stream and uses the rows of its documents, so
    that two processes drop the same values as one. The trainer sets `rows`; None means that the batch is whole.

    Args:
        p: probability that a value is dropped.

    Shapes: [B, ...] -> [B, ...].
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.rows: tuple[int, int, int] | None = None  # first row of this process, one past its last, rows of the batch

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return self._drop_on_gpu(x)
        start, stop, whole = self.rows or (0, len(x), len(x))
        return x * self._mask(x, whole)[start:stop]

    def _drop_on_gpu(self, x: Tensor) -> Tensor:
        if self.rows is None:
            return nn.functional.dropout(x, self.p)
        start, stop, whole = self.rows
        ones = torch.ones(whole, *x.shape[1:], dtype=x.dtype, device=x.device)
        return x * nn.functional.dropout(ones, self.p)[start:stop]

    def _mask(self, x: Tensor, rows: int) -> Tensor:
        """Sample 0 or 1 / (1 - p) in the layout of x, for another number of rows.

        From uniform numbers, which a CPU samples in a third of the time of Bernoulli numbers. In another layout than
        that of x their product takes twice the time.
        """
        strides = x[0].numel(), *torch.empty_like(x[:1]).stride()[1:]
        uniform = torch.empty_strided((rows, *x.shape[1:]), strides, dtype=torch.float32).uniform_()
        return uniform.ge_(self.p).div_(1 - self.p).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def share_batch(model: nn.Module, rows: tuple[int, int, int] | None) -> None:
    """Set in every dropout of a model which rows of the whole batch this process computes."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.rows = rows
