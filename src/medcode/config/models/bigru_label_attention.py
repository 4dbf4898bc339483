"""Options of BiGRU with label attention."""

from __future__ import annotations

from medcode.config.models.base import RecalibratedConfig
from medcode.config.section import Width


class BiGruLabelAttentionConfig(RecalibratedConfig):
    """Options of the BiGRU with label attention."""

    hidden: Width
    bidirectional: bool
