"""DCAN: dilated causal convolutions with residual connections, and label attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.dcan import DcanConfig
from medcode.layers.label_attention import label_attention_heads
from medcode.layers.temporal_block import TemporalBlock
from medcode.models.base import LabelAttentionModel


class Dcan(LabelAttentionModel):
    """DCAN (Ji et al. 2020, "Dilated Convolutional Attention Network for Medical Code Assignment from Clinical Text";
    the authors' code).

        z_0 = dropout(x),   z_i = block(z_(i-1)) with dilation 2^(i-1), for each level i
        h = relu(P z + c)
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: levels L, hidden features of a level, features of the projection P, kernel K.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}. Position t reads the words from
        t - 2 (K - 1) (2^L - 1) to t.

    Departures: pads do not take part in the attention; `faithful` lets them, as the authors' code does. The number of
        levels is not known from the paper or the code's defaults; 3 is that of AnEMIC's replication. The loss with
        label smoothing is taken from logits, where the authors' code takes a logarithm of rounded probabilities.
    """

    paper = "Ji et al. 2020"
    Config = DcanConfig

    def __init__(self, config: DcanConfig, vocabulary: int, vectors: Tensor | None, heads: dict[str, int]) -> None:
        super().__init__(config, vocabulary, vectors, heads)
        widths = [self.embedding_size] + [config.hidden] * config.levels
        self.blocks = nn.Sequential(
            *(
                TemporalBlock(widths[level], widths[level + 1], config.kernel, 2**level, config.dropout)
                for level in range(config.levels)
            )
        )
        self.projection = nn.Linear(config.hidden, config.projection)
        nn.init.xavier_uniform_(self.projection.weight)
        self.attention = label_attention_heads(config.projection, heads)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        z = self.blocks(self.embedding(tokens).transpose(1, 2)).transpose(1, 2)  # [B, N, hidden]
        return torch.relu(self.projection(z)), self.real_positions(lengths, tokens.shape[1])
