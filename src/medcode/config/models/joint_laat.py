"""Options of JointLAAT."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig

FIRST_LEVEL = "category"  # head predicted before the codes


class JointLaatConfig(ModelConfig):
    """Options of JointLAAT."""

    shares_features: ClassVar[bool] = True

    heads: list[str] = Field(["icd", FIRST_LEVEL], min_length=1)
    rnn: Literal["lstm", "gru"]
    hidden: Annotated[int, Field(ge=1)]
    projection: Annotated[int, Field(ge=1)]
    level_projection: Annotated[int, Field(ge=1)]
