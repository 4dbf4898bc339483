"""Options of GatedCNN-NCI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig


class GatedCnnNciConfig(ModelConfig):
    """Options of GatedCNN-NCI."""

    hidden: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=2)]
    levels: Annotated[int, Field(ge=1)]
    label_vectors: Literal["descriptions", "learned"]
