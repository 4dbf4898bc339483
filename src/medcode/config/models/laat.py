"""Options of LAAT."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig


class LaatConfig(ModelConfig):
    """Options of LAAT."""

    shares_features: ClassVar[bool] = True

    rnn: Literal["lstm", "gru"]
    hidden: Annotated[int, Field(ge=1)]
    projection: Annotated[int, Field(ge=1)]
