"""Options of the classifier of sentences."""

from __future__ import annotations

from typing import ClassVar

from medcode.config.models.base import EncoderConfig


class SentenceClsConfig(EncoderConfig):
    """Options of the classifier of sentences."""

    shares_features: ClassVar[bool] = False
    published_size: ClassVar[str] = "bert-multilingual-cased"

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`; all labels read [CLS]."""
        return False

    @property
    def token_limit(self) -> int | None:
        """See `ModelConfig`; one chunk, without its special tokens."""
        return self.chunk - 2
