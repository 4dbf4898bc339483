"""Options of MultiResCNN."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.models.base import OddKernels, RecalibratedConfig


class MultiResCnnConfig(RecalibratedConfig):
    """Options of MultiResCNN."""

    kernels: OddKernels
    filters: Annotated[int, Field(ge=1)]
    variant: Literal["original", "edin"]
