"""A linear layer on [CLS] of a pretrained encoder, for sentences that carry the codes of their spans."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.config.models.sentence_cls import SentenceClsConfig
from medcode.layers.chunks import cut_apart
from medcode.models.encoder_base import EncoderModel
from medcode.models.inputs import ModelInputs


class SentenceCls(EncoderModel):
    """The classifier of sentences (López-García et al. 2021, "Transformers for Clinical Coding in Spanish"; the
    authors' code). With `unit: sentences` it learns from single sentences, and the highest score of a note's sentences
    is the note's.

        h = encoder([CLS] x [SEP]),   logit_y = w_y . h_0 + b_y

    Nothing is dropped between the encoder and the linear layer, and the encoder's pooler is left out. Initial weights
    are uniform (Glorot), and b is 0.

    Args: see `EncoderModel`; config: chunk, number of positions that are read, [CLS] and [SEP] included; what is behind
        them is truncated. `max_tokens: 126` of the recipe cuts longer sentences into several instead.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}.

    Departures: the division into sentences is ours, and an optimizer of torch stands in for that of Keras.
    """

    paper = "López-García et al. 2021"
    Config = SentenceClsConfig

    def __init__(self, config: SentenceClsConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.output = nn.ModuleDict({head: nn.Linear(self.width, labels) for head, labels in inputs.heads.items()})
        for layer in self.output.values():
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        room = self.config.chunk - 2
        sentences = cut_apart(tokens[:, :room], lengths.clamp(max=room), self.config.chunk, self.outline.specials)
        h = self.run(sentences, sentences.real)[:, 0]  # [B, D]
        return {head: layer(h) for head, layer in self.output.items()}
