"""Options of BiGRU."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Width


class BiGruConfig(ModelConfig):
    """Options of the BiGRU.

    `pooling: max` classifies the largest value of each state over the words, in place of the last state, which forgets
    what stands far from it. `match_released_code` ignores it.
    """

    width: Annotated[Width, Field(multiple_of=2)]
    bidirectional: bool
    pooling: Literal["last", "max"] = "last"
