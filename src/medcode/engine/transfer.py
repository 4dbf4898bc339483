"""Asynchronous copies between host and device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device. The copy to a GPU is asynchronous, from pinned memory."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class AsyncHostCopy:
    """An asynchronous copy of a tensor to the host. The device can be given more work before it is read.

    Args:
        tensor: on its device; it must not change until the copy is read.
    """

    def __init__(self, tensor: Tensor) -> None:
        # Apple's GPUs can copy asynchronously too, but there is no event to wait for.
        self._host = tensor.to("cpu", non_blocking=tensor.device.type == "cuda")
        self._copied = torch.cuda.Event() if tensor.device.type == "cuda" else None
        if self._copied is not None:
            self._copied.record(torch.cuda.current_stream(tensor.device))

    def read(self) -> Tensor:
        """Wait for the copy, and return it."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._host
