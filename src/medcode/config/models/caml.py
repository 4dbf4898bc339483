"""Options of CAML."""

from __future__ import annotations

from medcode.config.models.base import RecalibratedConfig
from medcode.config.section import Kernel, Width


class CamlConfig(RecalibratedConfig):
    """Options of CAML."""

    filters: Width
    kernel: Kernel
