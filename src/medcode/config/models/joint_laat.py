"""Options of JointLAAT."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Width

FIRST_LEVEL = "category"  # head predicted before the codes


class JointLaatConfig(ModelConfig):
    """Options of JointLAAT."""

    shares_features: ClassVar[bool] = True
    plain_labels: ClassVar[bool] = False  # a code also depends on all categories

    heads: list[str] = Field(["icd", FIRST_LEVEL], min_length=1)
    rnn: Literal["lstm", "gru"]
    hidden: Width
    projection: Width
    level_projection: Width
