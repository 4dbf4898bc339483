"""Dropout whose mask does not depend on how a batch is shared among processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout over a batch that may be one process's share of a larger one.

    Every process draws the mask of the whole batch from the same stream and keeps the rows of its own documents, so
    that training on two processes drops what training on one would have dropped. `rows` is set by the trainer; None
    means that the batch is whole.

    Args:
        p: probability that a value is dropped.

    Shapes: [B, ...] -> [B, ...].
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.rows: tuple[int, int, int] | None = None  # first own row, one past the last, rows of the whole batch

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.rows is None:
            return self._drop(x)
        start, stop, whole = self.rows
        return x * self._drop(torch.ones(whole, *x.shape[1:], dtype=x.dtype, device=x.device))[start:stop]

    def _drop(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.p)
        # As torch does, but by uniform numbers, which a CPU draws in a third of the time that Bernoulli's take.
        return x * torch.rand(x.shape).ge_(self.p).div_(1 - self.p).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def share_batch(model: nn.Module, rows: tuple[int, int, int] | None) -> None:
    """Tells every dropout of a model which rows of the whole batch this process holds."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.rows = rows
