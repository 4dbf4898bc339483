"""Fusion: MultiResCNN's convolutions on pooled words, a transformer layer, and label attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.fusion import FusionConfig
from medcode.layers.dropout import Dropout
from medcode.layers.label_attention import LabelAttention
from medcode.layers.masks import MASKED, fill_pads, masked_softmax
from medcode.layers.residual_block import ResidualBlock
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.layers.transformer_layer import PositionTable, TransformerLayer
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class Fusion(LabelAttentionModel):
    """Fusion (Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression"; the authors' code).

        l = [residual_k(pool(tanh(conv_k(dropout(x))))) for each kernel k]
        g = dropout(tanh(transformer(l + positions)))
        a_y = softmax_p(u_y . g_p),   logit_y = w_y . (sum_p a_yp g_p) + b_y

    Args: see `WordModel`; config: kernels; filters of each kernel's residual block; pooling of every `window` words by
        `soft` attention or `max` (the paper's MaxPool); transformer, without which the attention reads l; positions,
        rows of the fixed position table, 0 for no table; attention_heads and feed_forward of the transformer; attention
        of each `code` or one for the `document` (the paper's DocLevel); block_local.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, ceil(N / window)]}.

    Departures: padding is zero before every convolution, and is masked in group normalization and in both attentions.
        The authors' code splits the transformer's heads wrongly, so that each sees one part of the document;
        `block_local` does the same, and then does not mask padding. `match_released_code` implies `block_local` and
        masks no padding anywhere. The last window of an odd document is completed with a zero, as in the authors' code;
        the paper drops it. The paper's introduction mentions BERT and an LSTM; its section 3 and the code have word
        vectors.
    """

    paper = "Luo et al. 2021"
    Config = FusionConfig

    def __init__(self, config: FusionConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
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
        attention_cls = LabelAttention if config.attention == "code" else DocumentAttention
        self.attention = nn.ModuleDict({head: attention_cls(features, labels) for head, labels in inputs.heads.items()})

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.embedding(tokens).transpose(1, 2)  # [B, E, N]
        words = self.real_positions(lengths, tokens.shape[1])
        window = self.config.window
        pooled = self.real_positions(-(-lengths // window), -(-tokens.shape[1] // window))  # [B, P]
        empty = 0.0 if self.config.pooling == "soft" else MASKED
        features = []
        for convolution, pool, residual in zip(self.convolutions, self.pools, self.residuals, strict=True):
            windows = pool(fill_pads(convolution(x), words, empty))
            features.append(residual(fill_pads(windows, pooled), pooled))
        h = torch.cat(features, dim=1).transpose(1, 2)  # [B, P, D]
        if self.config.transformer:
            h = self.dropout(torch.tanh(self.transformer(self.positions(h), pooled)))
        return h, pooled

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; a position stands for the words of its window."""
        window = self.config.window
        return nn.functional.pad(marked, (0, -marked.shape[-1] % window)).unflatten(-1, (-1, window)).any(-1)


class SoftPooling(nn.Module):
    """Attention-based soft pooling: a weighted mean of every g neighbors.

    Source: Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression", section 3.2.2; the authors'
    code, which has no bias b (softmax is invariant to it) and completes the last window with zeros.

        b_j = softmax over the window (w . x_j),   o_p = sum_j b_j x_j

    Args:
        features: D.
        window: g.

    Shapes: [B, D, N] -> [B, D, ceil(N / g)]. Padding must be zero, like the zeros that complete a window.
    """

    def __init__(self, features: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.score = nn.Conv1d(features, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, -x.shape[2] % self.window))
        scores = self.score(x).unflatten(2, (-1, self.window))  # [B, 1, P, g]
        weights = torch.softmax(scores.float(), dim=3).to(x.dtype)
        return (weights * x.unflatten(2, (-1, self.window))).sum(3)


class DocumentAttention(nn.Module):
    """Document attention: a single query for all labels, and a linear layer on the context vector.

    Source: Luo et al. 2021, "Fusion: Towards Automated ICD Coding via Feature Compression", section 4.5, "DocLevel".

        a = softmax_n(u . h_n),   logit = W (sum_n a_n h_n) + b

    Args:
        features: D.
        labels: Y.

    Shapes: [B, N, D], bool [B, N] or None -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.query = nn.Linear(features, 1, bias=False)
        self.output = nn.Linear(features, labels)
        nn.init.xavier_uniform_(self.query.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def weights(self, features: Tensor, mask: Tensor | None, *, labels: Tensor | None = None) -> Tensor:
        """Return the attention, the same for every label; `labels` selects some: [B, N, D] -> fp32 [B, Y, N]."""
        count = self.output.out_features if labels is None else len(labels)
        return self._weights(features, mask).expand(-1, count, -1)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        document = self._weights(features, mask).to(features.dtype) @ features  # [B, 1, D]
        return self.output(document.squeeze(1))

    def _weights(self, features: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(self.query(features).transpose(1, 2), mask)  # [B, 1, N]


class MaskedGroupNorm(nn.GroupNorm):
    """Group normalization with a single group and with statistics over real positions only.

    Source: Wu and He 2018, as torch's GroupNorm(1, D), whose parameters it has.

    Args:
        features: D.

    Shapes: [B, D, N], bool [B, N] or None -> [B, D, N]; outputs at padding are undefined.
    """

    def __init__(self, features: int) -> None:
        super().__init__(1, features)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return super().forward(x)
        real = mask.unsqueeze(1).to(self.weight.dtype)
        values = x.to(self.weight.dtype)  # fp32 where x is bf16
        count = real.sum((1, 2), keepdim=True) * x.shape[1]  # [B, 1, 1]
        mean = (values * real).sum((1, 2), keepdim=True) / count
        centered = (values - mean) * real
        variance = centered.square().sum((1, 2), keepdim=True) / count
        normalized = centered / (variance + self.eps).sqrt()
        return (normalized * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)).to(x.dtype)
