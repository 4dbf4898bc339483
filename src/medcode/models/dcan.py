"""DCAN: dilated causal convolutions with residual connections, and label attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from medcode.config.models.dcan import DcanConfig
from medcode.layers.convolution import Convolution, pad_before
from medcode.layers.dropout import Dropout
from medcode.layers.label_attention import label_attention_heads
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class Dcan(LabelAttentionModel):
    """DCAN (Ji et al. 2020, "Dilated Convolutional Attention Network for Medical Code Assignment from Clinical Text";
    the authors' code).

        z_0 = dropout(x),   z_i = block(z_(i-1)) with dilation 2^(i-1), for each level i
        h = relu(P z + c)
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: levels L, hidden features of a level, features of the projection P, kernel K.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}. Position t reads the words from
        t - 2 (K - 1) (2^L - 1) to t.

    Departures: padding is masked in the attention; `match_released_code` does not mask it, as the authors' code.
        Neither the paper nor the code's defaults state the number of levels; 3 is that of AnEMIC's replication. Macro
        F1, by which `published` chooses the epoch with 50 codes, is the default of the code, as 50 codes are; with all
        codes it is AnEMIC's P@8. The loss with label smoothing is computed from logits, where the authors' code takes a
        logarithm of rounded probabilities.
    """

    paper = "Ji et al. 2020"
    Config = DcanConfig

    def __init__(self, config: DcanConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        widths = [self.embedding_size] + [config.hidden] * config.levels
        self.blocks = nn.Sequential(
            *(
                TemporalBlock(widths[level], widths[level + 1], config.kernel, 2**level, config.dropout)
                for level in range(config.levels)
            )
        )
        self.projection = nn.Linear(config.hidden, config.projection)
        nn.init.xavier_uniform_(self.projection.weight)
        self.attention = label_attention_heads(config.projection, inputs.heads)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        z = self.blocks(self.embedding(tokens).transpose(1, 2)).transpose(1, 2)  # [B, N, hidden]
        return torch.relu(self.projection(z)), self.real_positions(lengths, tokens.shape[1])


class CausalConvolution(Convolution):
    """Causal convolution: position t reads t, t - dilation, ..., t - (K - 1) dilation.

    Shapes: [B, E, N] -> [B, D, N].
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_before(x, (self.kernel_size[0] - 1) * self.dilation[0]))


class TemporalBlock(nn.Module):
    """Two weight-normalized causal convolutions beside a shortcut.

    Source: Bai et al. 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
    Modeling", section 3; Ji et al. 2020 (DCAN), the authors' code.

        z = dropout(relu(conv(dropout(relu(conv(x)))))),   x' = relu(z + x)

    with x convolved by kernel 1 where the number of features changes.

    Convolutions start from torch's weights, uniform in +-1 / sqrt(inputs K): the authors' code calls Xavier's, but
    under weight normalization that changes neither direction nor norm. The shortcut starts from Xavier's.

    Args:
        inputs: D of the input.
        features: D of the output.
        kernel: K.
        dilation: distance between the positions that a convolution reads.
        dropout: probability that a value is dropped.

    Shapes: [B, inputs, N] -> [B, features, N].
    """

    def __init__(self, inputs: int, features: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = weight_norm(CausalConvolution(inputs, features, kernel, dilation=dilation))
        self.second = weight_norm(CausalConvolution(features, features, kernel, dilation=dilation))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != features:
            self.shortcut = Convolution(inputs, features, 1)
            nn.init.xavier_uniform_(self.shortcut.weight)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        z = self.dropout(torch.relu(self.first(x)))
        z = self.dropout(torch.relu(self.second(z)))
        return torch.relu(z + self.shortcut(x))
