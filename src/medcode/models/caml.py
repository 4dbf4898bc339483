"""CAML: one convolution, and label attention over its features."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from medcode.layers.label_attention import attend_heads, label_attention_heads, run_heads
from medcode.layers.masks import position_mask
from medcode.models.base import ModelConfig, WordModel


class CamlConfig(ModelConfig):
    """Options of CAML."""

    filters: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=1)]


class Caml(WordModel):
    """CAML (Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text"; the authors' code).

        h = tanh(conv(dropout(x)))
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: filters D, kernel K.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, P]} with P = N + 2 floor(K/2) - K + 1, one
        more than N for an even kernel. Position p reads the words from p - floor(K/2) on.

    Departures: pads do not take part in the attention; `faithful` lets them, as the authors' code does.
    """

    paper = "Mullenbach et al. 2018"
    Config = CamlConfig

    def __init__(self, config: CamlConfig, vocabulary: int, vectors: Tensor | None, heads: dict[str, int]) -> None:
        super().__init__(config, vocabulary, vectors, heads)
        self.convolution = nn.Conv1d(self.embedding_size, config.filters, config.kernel, padding=config.kernel // 2)
        nn.init.xavier_uniform_(self.convolution.weight)
        self.attention = label_attention_heads(config.filters, heads)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [B, P, D] and which positions are real, bool [B, P], or None where pads take part."""
        x = self.embedding(tokens).transpose(1, 2)  # [B, E, N]
        features = torch.tanh(self.convolution(x)).transpose(1, 2)  # [B, P, D]
        if not self.config.masked:
            return features, None
        extra = 2 * (self.config.kernel // 2) - self.config.kernel + 1
        return features, position_mask((lengths + extra).clamp(min=1), features.shape[1])

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return run_heads(self.attention, *self.encode(tokens, lengths))

    def label_attention(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Model`; one position more than tokens where the kernel is even."""
        return attend_heads(self.attention, *self.encode(tokens, lengths))
