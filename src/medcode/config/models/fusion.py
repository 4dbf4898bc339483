"""Options of Fusion."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig, OddKernels
from medcode.config.section import Count, Kernel, Width


class FusionConfig(ModelConfig):
    """Options of Fusion."""

    shares_features: ClassVar[bool] = True

    kernels: OddKernels
    filters: Width
    pooling: Literal["soft", "max"]
    window: Kernel
    transformer: bool
    positions: Annotated[Count, Field(le=32_768)]
    attention_heads: Width
    feed_forward: Width
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
