"""Options of MSATT-KG."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from medcode.config.models.base import ModelConfig
from medcode.config.section import Depth, Kernel, Number, Width


class MsattKgConfig(ModelConfig):
    """Options of MSATT-KG. The paper's sizes are not known: all are ours.

    `titles: mean` encodes a title by a linear map of its mean word vector instead of a convolution. `output_activation:
    relu` is ZAGCNN's on what a label has read; with titles by a convolution it leaves no logit below 0. The number of
    codes of a note is learned as a logarithm, or with `count_target: raw` as it is, and its squared error weighs
    `count_weight`. `decision: top_t` brings the logits of a note to a scale on which as many are above 0 as it is said
    to have codes, as published; the order of its codes stays the same. `convolution_init: tied` lets the convolutions
    of notes and of titles begin with the same map of the word in the middle of a window, so that from the first step a
    label attends to words like those of its title.
    """

    needs_tree: ClassVar[bool] = True

    blocks: Depth
    kernel: Kernel
    filters: Width
    graph_steps: Depth
    titles: Literal["convolution", "mean"] = "convolution"
    output_activation: Literal["none", "relu"] = "none"
    convolution_init: Literal["independent", "tied"] = "independent"
    count_weight: Annotated[Number, Field(ge=0)] = 0.01
    count_target: Literal["log", "raw"] = "log"
    decision: Literal["threshold", "top_t"] = "threshold"

    @field_validator("kernel")
    @classmethod
    def _keeps_positions(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("expected an odd kernel, which keeps the number of positions")
        return kernel

    @property
    def attends_to_tokens(self) -> bool:
        """See `ModelConfig`."""
        return True
