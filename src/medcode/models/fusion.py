"""Fusion: MultiResCNN's convolutions on pooled words, a transformer layer, and label attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.fusion import FusionConfig
from medcode.layers.document_attention import DocumentAttention
from medcode.layers.dropout import Dropout
from medcode.layers.group_norm import MaskedGroupNorm
from medcode.layers.label_attention import LabelAttention
from medcode.layers.masks import fill_pads
from medcode.layers.residual_block import ResidualBlock
from medcode.layers.soft_pooling import SoftPooling
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.layers.transformer_layer import PositionTable, TransformerLayer
from medcode.models.base import LabelAttentionModel


class Fusion(LabelAttentionModel):
    """Fusion (Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression"; the authors' code).

        l = [residual_k(pool(tanh(conv_k(dropout(x))))) for each kernel k]
        g = dropout(tanh(transformer(l + positions)))
        a_y = softmax_p(u_y . g_p),   logit_y = w_y . (sum_p a_yp g_p) + b_y

    Args: see `WordModel`; config: kernels; filters of each kernel's residual block; pooling of every `window` words by
        `soft` attention or `max` (the paper's MaxPool); transformer, or l goes to the attention as it is; positions of
        the fixed position table, 0 for none; attention_heads and feed_forward of the transformer; attention of each
        `code` or one for the `document` (the paper's DocLevel); block_local.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, ceil(N / window)]}.

    Departures: pads are zero before every convolution, have no part in group normalisation and in either attention.
        The authors' code separates the transformer's heads wrongly, so that each sees one part of the document;
        `block_local` does the same, and then pads do take part. `faithful` is both. The last window of an odd document
        is completed with a zero, as in the authors' code; the paper drops it. The paper speaks of BERT and an LSTM in
        its introduction; its section 3 and the code have word vectors.
    """

    paper = "Luo et al. 2021"
    Config = FusionConfig

    def __init__(self, config: FusionConfig, vocabulary: int, vectors: Tensor | None, heads: dict[str, int]) -> None:
        super().__init__(config, vocabulary, vectors, heads)
        size, features = self.embedding_size, config.filters * len(config.kernels)
        dropout = 0.0 if config.transformer else config.dropout
        self.convolutions = nn.ModuleList(TanhConvolution(size, size, kernel) for kernel in config.kernels)
        if config.pooling == "soft":
            self.pools = nn.ModuleList(SoftPooling(size, config.window) for _ in config.kernels)
        else:
            self.pools = nn.ModuleList(nn.MaxPool1d(config.window, ceil_mode=True) for _ in config.kernels)
        self.residuals = nn.ModuleList(
            ResidualBlock(size, config.filters, kernel, MaskedGroupNorm, dropout) for kernel in config.kernels
        )
        if config.transformer:
            self.positions = PositionTable(config.positions, features) if config.positions else nn.Identity()
            self.transformer = TransformerLayer(
                features, config.attention_heads, config.feed_forward, block_local=config.local
            )
        self.dropout = Dropout(config.dropout)
        kind = LabelAttention if config.attention == "code" else DocumentAttention
        self.attention = nn.ModuleDict({head: kind(features, labels) for head, labels in heads.items()})

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.embedding(tokens).transpose(1, 2)  # [B, E, N]
        words = self.real_positions(lengths, tokens.shape[1])
        window = self.config.window
        pooled = self.real_positions(-(-lengths // window), -(-tokens.shape[1] // window))  # [B, P]
        empty = 0.0 if self.config.pooling == "soft" else -torch.inf
        features = []
        for convolution, pool, residual in zip(self.convolutions, self.pools, self.residuals, strict=True):
            windows = pool(fill_pads(convolution(x), words, empty))
            features.append(residual(fill_pads(windows, pooled), pooled))
        h = torch.cat(features, dim=1).transpose(1, 2)  # [B, P, D]
        if self.config.transformer:
            h = self.dropout(torch.tanh(self.transformer(self.positions(h), pooled)))
        return h, pooled
