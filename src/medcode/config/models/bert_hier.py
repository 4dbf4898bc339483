"""Options of BERT-hier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medcode.config.models.base import StudyConfig


class BertHierConfig(StudyConfig):
    """Options of BERT-hier."""

    attention_over: Literal["chunks", "tokens"]
    upper_layers: Annotated[int, Field(ge=1)]
    upper_heads: Annotated[int, Field(ge=1)]
    upper_feed_forward: Annotated[int, Field(ge=1)]

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; not over chunks."""
        return super().attends_to_tokens and self.attention_over == "tokens"

    @model_validator(mode="after")
    def _consistent(self) -> BertHierConfig:
        if self.attention_over == "tokens" and self.head == "fcn":
            raise ValueError("attention_over: tokens needs head: label_attention")
        return self
