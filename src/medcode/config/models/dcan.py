"""Options of DCAN."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from medcode.config.models.base import ModelConfig


class DcanConfig(ModelConfig):
    """Options of DCAN."""

    shares_features: ClassVar[bool] = True

    levels: Annotated[int, Field(ge=1)]
    hidden: Annotated[int, Field(ge=1)]
    projection: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=2)]
