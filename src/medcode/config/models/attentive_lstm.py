"""Options of the attentive LSTM."""

from __future__ import annotations

from typing import ClassVar, Literal

from medcode.config.models.base import ModelConfig
from medcode.config.section import Positive, Width


class AttentiveLstmConfig(ModelConfig):
    """Options of the attentive LSTM.

    `character_size` is the width of the vectors of characters, and `hidden` that of words and of phrases. A word is
    read up to `characters`, a phrase up to `words`, and a note up to `phrases`. `selection: soft` gives a label the
    mean of the phrases, weighted by its attention; `hard` the one phrase that it attends to most.
    """

    needs_titles: ClassVar[bool] = True
    tokenize_rule: ClassVar[str | None] = "diagnoses"

    character_size: Width
    hidden: Width
    characters: Width
    words: Positive
    phrases: Positive
    selection: Literal["soft", "hard"] = "soft"
