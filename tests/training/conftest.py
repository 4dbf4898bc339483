"""Settings of all training tests."""

from __future__ import annotations

import pytest
import torch

from medcode.engine import reproducibility


@pytest.fixture(autouse=True)
def one_thread():
    """Run on one thread, which is fastest for small tensors, with deterministic operations as in the stages."""
    threads = torch.get_num_threads()
    reproducibility.prepare(1)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
