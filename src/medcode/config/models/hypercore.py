"""Options of HyperCore."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Epochs, Kernel, Number, Positive, Seed, Width


class HyperCoreConfig(ModelConfig):
    """Options of HyperCore. The paper's sizes are not known: all are ours.

    `targets: all` compares the document of a label with every label in the Poincaré ball, `ancestors` only with the
    label itself, its category, its block and its chapter. Distances are multiplied by `distance_scale`. An edge of the
    graph weighs the number of training documents with both codes, or with `cooccurrence: log` log(1 + that).
    `projected_queries` trains a linear map of the titles' mean word vectors, which are the queries. The `poincare_`
    options are those of the learning of the codes' vectors. `convolution_init: identity` lets features begin as nearly
    the word in the middle of their window, and `query_norm` scales each query to that norm: from the first step a label
    attends to words like those of its title, which queries that are not trained never learn to find by themselves.
    """

    needs_tree: ClassVar[bool] = True
    needs_cooccurrence: ClassVar[bool] = True

    kernel: Kernel
    hyperbolic_size: Annotated[Width, Field(ge=2)]
    graph_layers: Depth
    targets: Literal["all", "ancestors"]
    distance_scale: Annotated[Number, Field(gt=0)] = 1.0
    cooccurrence: Literal["counts", "log"] = "counts"
    projected_queries: bool = False
    query_norm: Annotated[Number, Field(gt=0)] | None = None
    convolution_init: Literal["xavier", "identity"] = "xavier"
    poincare_negatives: Annotated[Positive, Field(le=1_000)] = 10
    poincare_epochs: Epochs = 50
    poincare_seed: Seed = 1

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`."""
        return True
