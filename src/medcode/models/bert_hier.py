"""BERT-hier: chunks of a note through a pretrained encoder, and a transformer over the chunks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.bert_hier import BertHierConfig
from medcode.layers.chunks import cut_apart, join
from medcode.layers.transformer_layer import TransformerLayer
from medcode.models.encoder_base import StudyModel
from medcode.models.inputs import ModelInputs


class BertHier(StudyModel):
    """BERT-hier (Ji et al. 2021, "Does the Magic of BERT Apply to Medical Code Assignment? A Quantitative Study",
    sections 3.2 and 3.3; code derived from theirs).

        c_k = encoder([CLS] x_k [SEP])_0 for each chunk x_k of the note,   g = transformer(c_1, c_2, ...)
        fcn:              logit_y = w_y . dropout(max_k g_k) + b_y
        label attention:  a_y = softmax_k(u_y . g_k),   logit_y = w_y . (sum_k a_yk g_k) + b_y

    Args: see `EncoderModel`; config: head fcn or label_attention; chunk, number of positions of a chunk, [CLS] and
        [SEP] included; attention_over `chunks`, or `tokens`: the states of all positions of all chunks, without the
        transformer, as the paper's text says; upper_layers, upper_heads and upper_feed_forward of the transformer.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, K]} over K = ceil(N / (chunk - 2)) chunks, or
        over N + 2 K positions.

    Departures: notes are padded to the number of chunks of the longest in the batch; padding is masked in the
        transformer, the maximum and the attention. `match_released_code` does not mask it (vectors of zero), as the
        derived code. The paper states neither the number of layers, which follows from its parameter counts, nor that
        of heads. The transformer has no position embeddings for chunks, as in the derived code.
    """

    paper = "Ji et al. 2021"
    Config = BertHierConfig
    pooling = "max"

    def __init__(self, config: BertHierConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.upper = nn.ModuleList(
            TransformerLayer(self.width, config.upper_heads, config.upper_feed_forward, dropout=config.dropout)
            for _ in range(config.upper_layers if config.attention_over == "chunks" else 0)
        )

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        chunks = cut_apart(tokens, lengths, self.config.chunk, self.outline.specials)
        states = self.run(chunks, chunks.real)  # [C, L, D]
        max_chunks = -(-tokens.shape[1] // (self.config.chunk - 2))
        if self.config.attention_over == "tokens":
            positions = lengths + 2 * chunks.counts
            features, real = join(states[chunks.real], positions, tokens.shape[1] + 2 * max_chunks)
        else:
            features, real = join(states[:, 0], chunks.counts, max_chunks)
        mask = real if self.config.masked else None
        for layer in self.upper:
            features = layer(features, mask)
        return features, mask

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; each chunk is between [CLS] and [SEP]. For attention over tokens."""
        token = torch.arange(marked.shape[-1], device=marked.device)
        result = marked.new_zeros(*marked.shape[:-1], positions)
        result[..., token + 2 * (token // (self.config.chunk - 2)) + 1] = marked
        return result
