"""What all tests of training run under."""

from __future__ import annotations

import pytest
import torch

from medcode.engine import reproducibility


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors as small as these are slowest on many threads; and operations are deterministic, as in the stages."""
    threads = torch.get_num_threads()
    reproducibility.prepare(1)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
