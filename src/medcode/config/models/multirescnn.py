"""Options of MultiResCNN."""

from __future__ import annotations

from typing import Literal

from medcode.config.models.base import OddKernels, RecalibratedConfig
from medcode.config.section import Width


class MultiResCnnConfig(RecalibratedConfig):
    """Options of MultiResCNN."""

    kernels: OddKernels
    filters: Width
    variant: Literal["original", "edin"]
