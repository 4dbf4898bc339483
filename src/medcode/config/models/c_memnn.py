"""Options of C-MemNN."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Number, Width


class CMemNNConfig(ModelConfig):
    """Options of C-MemNN.

    `text_size` and `title_size` are the widths of the word vectors of notes and pages, and of titles, which begin at
    random; `corpus` begins with the corpus's word vectors. `embedding: static` freezes those of notes alone.
    `slot_size` is the width of the state and of a slot, `gate_size` that of the hidden layer of the gate. `state:
    condensed` keeps older states in ever fewer dimensions, `averaged` (A-MemNN) with ever smaller weights, and `last`
    not at all. `addressing: gated` weighs every slot by itself, `softmax` lets slots compete. `retrieval: shared_words`
    reads only the slots whose page shares a word with the note, `all` every slot. `stop_words: removed` leaves frequent
    English and Spanish words out of notes, pages and titles. The loss of the addressing, against the slots of the gold
    labels, weighs `addressing_weight`.
    """

    needs_titles: ClassVar[bool] = True
    needs_terms: ClassVar[bool] = True
    needs_tree: ClassVar[bool] = True

    hops: Depth
    text_size: Width | Literal["corpus"]
    title_size: Width | Literal["corpus"]
    slot_size: Width
    gate_size: Width
    state: Literal["condensed", "averaged", "last"] = "condensed"
    addressing: Literal["gated", "softmax"] = "gated"
    retrieval: Literal["shared_words", "all"] = "shared_words"
    stop_words: Literal["removed", "kept"] = "removed"
    addressing_weight: Annotated[Number, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _titles_have_vectors(self) -> CMemNNConfig:
        if self.title_size == "corpus" and self.text_size != "corpus":
            raise ValueError("title_size: corpus needs text_size: corpus; else give a width")
        return self
