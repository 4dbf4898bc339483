"""Options of DCAN."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Kernel, Width


class DcanConfig(ModelConfig):
    """Options of DCAN."""

    shares_features: ClassVar[bool] = True

    levels: Annotated[Depth, Field(le=12)]
    hidden: Width
    projection: Width
    kernel: Annotated[Kernel, Field(ge=2)]
