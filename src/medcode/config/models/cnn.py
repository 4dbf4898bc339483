"""Options of CNN."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medcode.config.models.base import ModelConfig


class CnnConfig(ModelConfig):
    """Options of the CNN."""

    filters: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=1)]
