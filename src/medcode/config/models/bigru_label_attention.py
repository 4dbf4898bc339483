"""Options of BiGRU with label attention."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medcode.config.models.base import RecalibratedConfig


class BiGruLabelAttentionConfig(RecalibratedConfig):
    """Options of the BiGRU with label attention."""

    hidden: Annotated[int, Field(ge=1)]
    bidirectional: bool
