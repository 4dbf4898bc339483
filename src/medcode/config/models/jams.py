"""Options of JAMS."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from medcode.config import models
from medcode.config.models.base import ModelConfig
from medcode.config.section import current_key
from medcode.errors import nearest

CODES = "codes"  # the one head of the backbone: the labels of both systems, concatenated


class JamsConfig(ModelConfig):
    """Options of JAMS. Options of a backbone are under its name, except those that every model has.

    `renormalized` normalizes the weights of a code to sum 1 after approximate links count half. `symmetric` counts a
    link of the mappings of one direction in both.
    """

    needs_descriptions: ClassVar[bool] = True
    needs_edges: ClassVar[bool] = True

    heads: list[str] = Field(["icd9", "icd10"], min_length=2, max_length=2)
    backbone: str
    backbones: dict[str, dict[str, Any]]
    renormalized: bool = False
    symmetric: bool = False

    @property
    def backbone_config(self) -> ModelConfig:
        """Options of the chosen backbone."""
        common = {name: getattr(self, name) for name in ModelConfig.model_fields}
        options = self.backbones[self.backbone] | common | {"heads": [CODES]}
        return models.find(self.backbone).model_validate(options)

    @property
    def attends_to_tokens(self) -> bool:
        """Whether the backbone's labels attend to tokens; see `ModelConfig`."""
        return self.backbone_config.attends_to_tokens

    @property
    def token_limit(self) -> int | None:
        """Number of tokens that the backbone reads; see `ModelConfig`."""
        return self.backbone_config.token_limit

    @property
    def published_encoder(self) -> str | None:
        """Size of the backbone's published encoder; see `ModelConfig`."""
        return self.backbone_config.published_encoder

    @model_validator(mode="after")
    def _check_backbone(self) -> JamsConfig:
        if self.backbone not in self.backbones:
            raise ValueError(
                f"backbone: there is no block backbones.{self.backbone}; {nearest(self.backbone, self.backbones)}"
            )
        if self.backbone not in models.names() or not models.find(self.backbone).shares_features:
            raise ValueError(f"backbone: {self.backbone} has no label attention of its own")
        try:
            _ = self.backbone_config
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            current = current_key(key, models.find(self.backbone).model_fields)
            message = first["msg"] if current is None else f"renamed; write {current}"
            raise ValueError(f"backbones.{self.backbone}.{key}: {message}") from None
        return self
