"""Options of CNN."""

from __future__ import annotations

from medcode.config.models.base import ModelConfig
from medcode.config.section import Kernel, Width


class CnnConfig(ModelConfig):
    """Options of the CNN."""

    filters: Width
    kernel: Kernel
