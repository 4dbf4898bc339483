"""CNN: one convolution and a maximum over the whole document."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.cnn import CnnConfig
from medcode.layers.convolution import Convolution
from medcode.layers.masks import fill_pads
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs


class Cnn(WordModel):
    """CNN (Kim 2014, as the baseline of Mullenbach et al. 2018; the authors' code).

        m = max_n tanh(conv(dropout(x)))_n,   logit = W m + b

    Args: see `WordModel`; config: filters D, kernel K.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; N - K + 1 positions before the maximum.

    Departures: positions that read padding do not enter the maximum, unless the document is shorter than the kernel;
        with `match_released_code` they do, as in the authors' code. Documents shorter than the kernel are padded to it
        (the authors' code fails on them). Tanh is applied after the maximum, to fewer values: the two commute.
    """

    paper = "Kim 2014; Mullenbach et al. 2018"
    Config = CnnConfig

    def __init__(self, config: CnnConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.convolution = Convolution(self.embedding_size, config.filters, config.kernel)
        nn.init.xavier_uniform_(self.convolution.weight)
        self.output = nn.ModuleDict({head: nn.Linear(config.filters, labels) for head, labels in inputs.heads.items()})
        for layer in self.output.values():
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        kernel = self.config.kernel
        missing = max(0, kernel - tokens.shape[1])
        x = self.embedding(nn.functional.pad(tokens, (0, missing))).transpose(1, 2)  # [B, E, N]
        features = self.convolution(x)  # [B, D, N - K + 1]
        real = self.real_positions(lengths - kernel + 1, features.shape[2])
        pooled = torch.tanh(fill_pads(features, real, -torch.inf).amax(2))  # [B, D]
        return {head: layer(pooled) for head, layer in self.output.items()}
