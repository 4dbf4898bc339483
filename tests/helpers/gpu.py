"""Marker of tests that `benchmarks/gpu.sh` runs on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


def needs_gpu(test: Callable) -> Callable:
    """Mark a test with `gpu`, and skip it if there is no GPU."""
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")(test))
