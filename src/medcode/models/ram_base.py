"""Base class of the models that RAM may stand in."""

from __future__ import annotations

import importlib
from types import ModuleType

from torch import Tensor, nn

from medcode.config.models.base import RecalibratedConfig
from medcode.layers.label_attention import label_attention_heads
from medcode.models.base import LabelAttentionModel


def ram_layers() -> ModuleType:
    """Import the layers of RAM by name, so that a run of a model without RAM does not depend on their code."""
    return importlib.import_module("medcode.layers.recalibrated_aggregation")


class RecalibratedModel(LabelAttentionModel):
    """A model on word vectors with optional RAM (option `ram`) before one label attention per head.

    Source: Sun et al. 2021 (MT-RAM), whose ablations put RAM on three encoders. A subclass builds its encoder, and ends
    its constructor with `make_heads`.
    """

    config: RecalibratedConfig

    def make_heads(self, features: int) -> None:
        """Build RAM and the heads.

        Args:
            features: D of the encoder.
        """
        position = self.config.ram_position if self.config.ram else "nowhere"
        self.attention = label_attention_heads(features, self.heads)
        if position == "branches":
            for head, attention in list(self.attention.items()):
                self.attention[head] = ram_layers().RecalibratedBranch(self._ram(features), attention)
        self.recalibration = self._ram(features) if position == "shared" else None

    def _ram(self, features: int) -> nn.Module:
        identity = self.config.ram_init == "identity" and not self.config.match_released_code
        return ram_layers().RecalibratedAggregation(features, self.config.ram_combine, self.config.dropout, identity)

    def features(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `LabelAttentionHeads`."""
        features, real = self.encode(tokens, lengths)
        return (features if self.recalibration is None else self.recalibration(features, real)), real
