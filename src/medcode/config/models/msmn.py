"""Options of MSMN."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Number, Positive, Share, Width


class MsmnConfig(ModelConfig):
    """Options of MSMN.

    `hidden` is the width of each direction of the LSTM, `features` that of what it says of a word. If the two
    directions together have another width, a linear layer follows. `layer_dropout` is the dropout between layers.
    `terms` is the number of terms of each label, the title included, and of heads that search for them; `term_words`
    that of the words that are read of a term. `matching_init: tied` lets keys and queries begin as the same map, so
    that from the first step a label attends to words like those of its terms, and these speak for it. `term_padding:
    included` lets padding take part in the maximum over the words of a term, as in the authors' code. `rdrop_weight`
    is the weight of the divergence of two passes of a note, 0 for one pass; `rdrop` says of which distribution.
    """

    needs_titles: ClassVar[bool] = True
    needs_terms: ClassVar[bool] = True

    layers: Depth
    hidden: Width
    features: Width
    terms: Annotated[Positive, Field(le=64)]
    term_words: Positive = 30
    layer_dropout: Annotated[Share, Field(lt=1)] = 0.1
    matching_init: Literal["independent", "tied"] = "independent"
    term_padding: Literal["masked", "included"] = "masked"
    rdrop_weight: Annotated[Number, Field(ge=0)] = 5.0
    rdrop: Literal["softmax", "bernoulli"] = "softmax"

    @model_validator(mode="after")
    def _heads_have_equal_parts(self) -> MsmnConfig:
        if self.features % self.terms:
            raise ValueError("features: expected a multiple of terms, whose heads divide the features among them")
        return self

    @property
    def masked(self) -> bool:
        """See `ModelConfig`; the authors' code masks the padding of notes, though not that of terms."""
        return self.mask_padding

    @property
    def pads_terms(self) -> bool:
        """Whether padding takes part in the maximum over the words of a term."""
        return self.term_padding == "included" or self.match_released_code

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`."""
        return True
