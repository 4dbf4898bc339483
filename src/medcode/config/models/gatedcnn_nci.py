"""Options of GatedCNN-NCI."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Kernel, Width


class GatedCnnNciConfig(ModelConfig):
    """Options of GatedCNN-NCI.

    `trellis_init: identity` lets the outputs of the trellis network begin as nearly the word vectors. The published
    weights, normal with a deviation of 0.01, make all features nearly zero, and logits are quadratic in them, so that
    training begins at a saddle point. `match_released_code` ignores it.
    """

    needs_descriptions: ClassVar[bool] = True

    hidden: Width
    kernel: Annotated[Kernel, Field(ge=2)]
    levels: Depth
    label_vectors: Literal["descriptions", "learned"]
    trellis_init: Literal["published", "identity"] = "published"
