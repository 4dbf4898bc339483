"""Marks tests that `benchmarks/gpu.sh` runs on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


def needs_gpu(test: Callable) -> Callable:
    """Skips a test where there is no GPU."""
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")(test))
