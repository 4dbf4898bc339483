"""Options of LAAT."""

from __future__ import annotations

from typing import ClassVar, Literal

from medcode.config.models.base import ModelConfig
from medcode.config.section import Width


class LaatConfig(ModelConfig):
    """Options of LAAT."""

    shares_features: ClassVar[bool] = True

    rnn: Literal["lstm", "gru"]
    hidden: Width
    projection: Width
