"""Options of the linear model."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Number, Positive


class LinearConfig(ModelConfig):
    """Options of the linear model. Dropout, word vectors and padding do not concern it.

    A word or a pair of words is a feature if it occurs in at least `min_documents` training documents. Of more than
    `max_features` those in most documents are kept. `cost` is the weight C of the errors against that of the weights.
    """

    fits_at_once: ClassVar[bool] = True
    needs_train_documents: ClassVar[bool] = True

    min_documents: Positive
    max_features: Positive
    cost: Annotated[Number, Field(gt=0)]
