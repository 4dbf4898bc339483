"""Options of PLM-ICD."""

from __future__ import annotations

from typing import ClassVar, Literal

from medcode.config.models.base import EncoderConfig


class PlmIcdConfig(EncoderConfig):
    """Options of PLM-ICD."""

    published_size: ClassVar[str] = "roberta-base-pm"

    variant: Literal["original", "edin"]
