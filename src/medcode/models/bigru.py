"""BiGRU: the last states of a recurrent network in both directions, and a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.bigru import BiGruConfig
from medcode.layers.masks import fill_pads
from medcode.layers.recurrent import Recurrent
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs


class BiGru(WordModel):
    """BiGRU (the baseline of Mullenbach et al. 2018; the authors' code, class VanillaRNN).

        h = [last state forwards; last state backwards],   logit = W h + b

    Args: see `WordModel`; config: width, D of both directions together; bidirectional; pooling: `last`, or `max` for
        h = max_n state_n, which is ours.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}.

    Departures: padding is not read; `match_released_code` reads it, after the document in the forward direction and
        before it in the backward one, as the authors' code does. Their command for 50 codes asks for one direction, and
        so does `published`; that for all codes asks for both. No published recipe has dropout on the word vectors;
        another recipe may set it.
    """

    paper = "Mullenbach et al. 2018"
    Config = BiGruConfig

    def __init__(self, config: BiGruConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        hidden = config.width // (2 if config.bidirectional else 1)
        self.recurrent = Recurrent("gru", self.embedding_size, hidden, bidirectional=config.bidirectional)
        self.output = nn.ModuleDict({head: nn.Linear(config.width, labels) for head, labels in inputs.heads.items()})

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        states, h = self.recurrent(self.embedding(tokens), lengths if self.config.masked else None)  # [B, N, D], [B, D]
        if self.config.pooling == "max" and not self.config.match_released_code:
            real = self.real_positions(lengths, tokens.shape[1])
            h = fill_pads(states.transpose(1, 2), real, -torch.inf).amax(2)
        return {head: layer(h) for head, layer in self.output.items()}
