"""Options of BiGRU."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig


class BiGruConfig(ModelConfig):
    """Options of the BiGRU.

    `pooling: max` classifies the largest value of each state over the words, in place of the last state, which forgets
    what stands far from it. `match_released_code` ignores it.
    """

    width: Annotated[int, Field(ge=2, multiple_of=2)]
    bidirectional: bool
    pooling: Literal["last", "max"] = "last"
