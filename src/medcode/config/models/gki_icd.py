"""Options of GKI-ICD."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.plm_ca import PlmCaConfig
from medcode.config.section import Number

Weight = Annotated[Number, Field(ge=0)]


class GkiIcdConfig(PlmCaConfig):
    """Options of GKI-ICD: those of PLM-CA, and of its training.

    `similarity_weight` is the weight of the distance between what labels read in note and guideline; 0 for none.
    `rdrop_weight` is that of the divergence of two passes of a note, 0 for one pass; `rdrop` says of which
    distribution. With `redraw` the second pass reads another guideline of the note.
    """

    needs_terms: ClassVar[bool] = True
    needs_tree: ClassVar[bool] = True

    similarity_weight: Weight
    rdrop_weight: Weight
    rdrop: Literal["softmax", "bernoulli"]
    redraw: bool
