"""Options of DR-CAML."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from medcode.config.models.base import ModelConfig
from medcode.config.section import Kernel, Number, Width


class DrCamlConfig(ModelConfig):
    """Options of DR-CAML."""

    shares_features: ClassVar[bool] = True
    needs_descriptions: ClassVar[bool] = True
    plain_labels: ClassVar[bool] = False  # it has a description too

    filters: Width
    kernel: Kernel
    description_weight: Annotated[Number, Field(ge=0)]
    separate_description_table: bool = False
