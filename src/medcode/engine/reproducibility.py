"""Everything that random numbers and the order of additions depend on."""

from __future__ import annotations

import torch

from medcode.layers.kernels import Mode, choose


def prepare(threads: int, kernels: Mode = "auto") -> None:
    """Fixes the number of threads and asks for deterministic algorithms; raises where an operation has none.

    Which Triton kernels compute is chosen here too (`training.kernels`): kernels add in another order than torch.

    New memory is not filled first, as torch would: every operation here writes what it reads. fp32 means fp32: torch
    would let cuDNN round the factors of convolutions and recurrent networks to TF32.
    """
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    choose(kernels)


def seed_step(seed: int, step: int) -> None:
    """Seeds the random numbers of one training step.

    A stream of its own for every step means that a resumed run needs no stored generator state, and that the order in
    which anything else drew numbers does not matter.
    """
    torch.manual_seed((seed * 1_000_003 + step) % 2**63)
