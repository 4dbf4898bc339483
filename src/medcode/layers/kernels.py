"""Finds the Triton kernels that a device can run."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType

import torch


@functools.cache
def triton_kernels(
    load: Callable[[], ModuleType], purpose: str, shared_bytes: int, device: torch.device
) -> ModuleType | None:
    """A module of Triton kernels, or None where they cannot run, which is said once.

    Args:
        load: imports the module.
        purpose: what runs, to be said.
        shared_bytes: memory that a program of the kernels may share.
        device: a CUDA device.
    """
    properties = torch.cuda.get_device_properties(device)
    if properties.shared_memory_per_block_optin < shared_bytes:
        reason = f"{properties.name} has less than {shared_bytes // 1024} KiB of shared memory for a block"
    else:
        try:
            return load()
        except ImportError as error:
            reason = f"Triton cannot be imported ({error})"
    print(f"note: {purpose} without Triton kernels: {reason}", file=sys.stderr)
    return None
