"""MultiResCNN: convolutions of six widths, each with a residual block, and label attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.multirescnn import MultiResCnnConfig
from medcode.layers.batch_norm import MaskedBatchNorm
from medcode.layers.masks import fill_pads
from medcode.layers.residual_block import ResidualBlock
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.models.inputs import ModelInputs
from medcode.models.ram_base import RecalibratedModel


class MultiResCnn(RecalibratedModel):
    """MultiResCNN (Li and Yu 2020, "ICD Coding from Clinical Text Using Multi-Filter Residual Convolutional Neural
    Network"; the authors' code).

        h = [residual_k(tanh(conv_k(dropout(x)))) for each kernel k]
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: kernels, filters of each kernel's residual block, variant, and RAM
        (`RecalibratedConfig`). The variant `edin` is that of Edin et al. 2023 and JAMS: first convolutions without
        bias and with torch's initial weights, and a second tanh before the attention.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: padding is zero before every convolution, and is masked in batch normalization and in the attention;
        `match_released_code` does neither, as the authors' code. There, features near padding and running statistics
        depend on how documents are padded.
    """

    paper = "Li and Yu 2020"
    Config = MultiResCnnConfig

    def __init__(self, config: MultiResCnnConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        size, is_original = self.embedding_size, config.variant == "original"
        self.convolutions = nn.ModuleList(
            TanhConvolution(size, size, kernel, bias=is_original, xavier=is_original) for kernel in config.kernels
        )
        self.residuals = nn.ModuleList(
            ResidualBlock(size, config.filters, kernel, MaskedBatchNorm, config.dropout) for kernel in config.kernels
        )
        self.make_heads(config.filters * len(config.kernels))

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.embedding(tokens).transpose(1, 2)  # [B, E, N]
        real = self.real_positions(lengths, tokens.shape[1])
        features = [
            residual(fill_pads(convolution(x), real), real)
            for convolution, residual in zip(self.convolutions, self.residuals, strict=True)
        ]
        h = torch.cat(features, dim=1).transpose(1, 2)  # [B, N, D]
        return (torch.tanh(h) if self.config.variant == "edin" else h), real
