"""Options of Fusion."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig, OddKernels


class FusionConfig(ModelConfig):
    """Options of Fusion."""

    shares_features: ClassVar[bool] = True

    kernels: OddKernels
    filters: Annotated[int, Field(ge=1)]
    pooling: Literal["soft", "max"]
    window: Annotated[int, Field(ge=1)]
    transformer: bool
    positions: Annotated[int, Field(ge=0)]
    attention_heads: Annotated[int, Field(ge=1)]
    feed_forward: Annotated[int, Field(ge=1)]
    attention: Literal["code", "document"]
    block_local: bool = False

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; not where one attention serves all labels."""
        return self.attention == "code"

    @property
    def local(self) -> bool:
        """Whether each head of the transformer sees only a part of the positions."""
        return self.block_local or self.match_released_code

    @property
    def masked(self) -> bool:
        """Whether padding is masked: not where heads see parts of the padded document."""
        return super().masked and not (self.transformer and self.local)
