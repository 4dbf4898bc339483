"""Make training reproducible: threads, deterministic algorithms, kernels, and the seed of each step."""

from __future__ import annotations

import torch

from medcode.layers.kernels import Mode, choose


def prepare(threads: int, kernels: Mode = "auto") -> None:
    """Set the number of threads, deterministic algorithms and the choice of Triton kernels (`training.kernels`).

    Operations without a deterministic algorithm raise an error. Kernels belong here because they add in another order
    than torch.

    New memory is not filled first, as torch would: every operation here writes before it reads. TF32 is off: torch
    would let cuDNN round the factors of convolutions and recurrent networks to it.
    """
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    choose(kernels)


def seed_step(seed: int, step: int) -> None:
    """Seed the random numbers of one training step.

    With a stream for every step, a resumed run needs no stored generator state, and random numbers sampled elsewhere
    have no effect.
    """
    torch.manual_seed((seed * 1_000_003 + step) % 2**63)
