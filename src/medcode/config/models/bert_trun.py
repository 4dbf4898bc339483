"""Options of BERT-trun."""

from __future__ import annotations

from medcode.config.models.base import StudyConfig


class BertTrunConfig(StudyConfig):
    """Options of BERT-trun."""

    @property
    def token_limit(self) -> int:
        """See `ModelConfig`; the first chunk, without its special tokens."""
        return self.chunk - 2
