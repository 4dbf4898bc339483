"""One process of possibly several, as torchrun starts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from medcode.errors import UserError


@dataclass(frozen=True)
class DistributedContext:
    """Rank of this process, and the number of processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def shard(self, batch: int) -> tuple[int, int]:
        """Return the bounds of this process's share of a batch: the first row, and one past the last."""
        shards = np.array_split(np.arange(batch), self.size)
        start = sum(len(shard) for shard in shards[: self.rank])
        return start, start + len(shards[self.rank])

    def broadcast(self, value: Any) -> Any:
        """Return the value of the main process, in every process."""
        if self.size == 1:
            return value
        holder = [value]
        distributed.broadcast_object_list(holder, src=0)
        return holder[0]

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            distributed.barrier()

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Wrap a model so that backward averages gradients over the processes."""
        if self.size == 1:
            return model
        # A static graph allows parameters that no loss reaches, such as the unused bias of label attention.
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None, static_graph=True
        )


@contextlib.contextmanager
def join(device: torch.device) -> Iterator[DistributedContext]:
    """Join the process group if torchrun started this process; else there is one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield DistributedContext()
        return
    if device.type == "cuda":
        torch.cuda.set_device(
            device
        )  # Triton launches its kernels on the current device, whatever their tensors are on
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield DistributedContext(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """Return the device of a name: `auto` is this process's NVIDIA GPU if there is one, else the CPU.

    Raises:
        UserError: torch finds no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    is_available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_available[name]:
        vendor = {"cuda": "NVIDIA", "mps": "Apple"}[name]
        raise UserError(
            f"training.device: torch {torch.__version__} finds no {vendor} GPU here for {name}; auto takes what is here"
        )
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)
