"""Options of BERT-hier."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from medcode.config.models.base import StudyConfig
from medcode.config.section import Depth, Width


class BertHierConfig(StudyConfig):
    """Options of BERT-hier."""

    attention_over: Literal["chunks", "tokens"]
    upper_layers: Depth
    upper_heads: Width
    upper_feed_forward: Width

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; not over chunks."""
        return super().attends_to_tokens and self.attention_over == "tokens"

    @model_validator(mode="after")
    def _consistent(self) -> BertHierConfig:
        if self.attention_over == "tokens" and self.head == "fcn":
            raise ValueError("attention_over: tokens needs head: label_attention")
        return self
