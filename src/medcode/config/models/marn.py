"""Options of MARN."""

from __future__ import annotations

from pydantic import Field

from medcode.config.models.bigru_label_attention import BiGruLabelAttentionConfig


class MarnConfig(BiGruLabelAttentionConfig):
    """Options of MARN."""

    heads: list[str] = Field(["icd", "ccs"], min_length=1)
    ram: bool = True
