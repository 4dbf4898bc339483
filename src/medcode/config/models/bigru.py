"""Options of BiGRU."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medcode.config.models.base import ModelConfig


class BiGruConfig(ModelConfig):
    """Options of the BiGRU."""

    width: Annotated[int, Field(ge=2, multiple_of=2)]
    bidirectional: bool
