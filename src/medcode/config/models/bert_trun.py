"""Options of BERT-trun."""

from __future__ import annotations

from medcode.config.models.base import StudyConfig


class BertTrunConfig(StudyConfig):
    """Options of BERT-trun."""
