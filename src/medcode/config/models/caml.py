"""Options of CAML."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medcode.config.models.base import RecalibratedConfig


class CamlConfig(RecalibratedConfig):
    """Options of CAML."""

    filters: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=1)]
