"""Options of MT-RAM."""

from __future__ import annotations

from pydantic import Field

from medcode.config.models.bigru_label_attention import BiGruLabelAttentionConfig


class MtRamConfig(BiGruLabelAttentionConfig):
    """Options of MT-RAM."""

    heads: list[str] = Field(["icd", "ccs"], min_length=1)
    ram: bool = True
