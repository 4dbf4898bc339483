"""DLAC: an encoder of long texts, and label attention whose queries start from word vectors of titles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from medcode.config.models.dlac import DlacConfig
from medcode.layers.chunks import Chunks, cut_apart, cut_through, join
from medcode.layers.dropout import Dropout
from medcode.layers.label_attention import run_heads
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.layers.title_vectors import title_vectors
from medcode.models.base import LabelAttentionHeads
from medcode.models.encoder_base import EncoderModel
from medcode.models.inputs import ModelInputs


class Dlac(LabelAttentionHeads, EncoderModel):
    """DLAC (Feucht et al. 2021, "Description-based Label Attention Classifier for Explainable ICD-9 Classification";
    the authors' code).

        h = states of the encoder over each chunk of <s> x </s>, concatenated
        p_n = dropout(P h_n + c),   a_y = softmax_n(v_y . p_n / sqrt(2 S)),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    where v_y starts as [max; min] over the word vectors, of size S, of the title of y, and is trained.

    Args: see `EncoderModel`; config: chunk; chunks: `joined`, or `averaged`, for the paper's hierarchical BERT: each
        chunk is between special tokens and has logits of its own, and those of the note are their mean; title_size S,
        title_epochs, title_seed of word2vec;
        inputs: `descriptions`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N + 2]}, the special tokens included; none
        with `averaged`.

    Departures: padding is masked; `match_released_code` pads every note to whole chunks, as many as the longest note of
        the batch has, and does not mask this padding in the label attention, as the authors' code. Word vectors are
        learned from the titles of the model's labels, with the words that notes are made of, not from those of all
        ICD-9 codes as printed: there, a title with a word that was printed otherwise than it is looked up became all
        random. Words outside the vocabulary of the notes are one word. Chunks do not overlap; the paper's hierarchical
        BERT repeats 50 subwords. Longformer is an encoder like any other: with chunk 4096 its first position has global
        attention.
    """

    paper = "Feucht et al. 2021"
    Config = DlacConfig

    def __init__(self, config: DlacConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        size = 2 * config.title_size
        self.attention = nn.ModuleDict(
            {head: TitleAttention(self.width, size, labels, config.dropout) for head, labels in inputs.heads.items()}
        )
        if inputs.descriptions is not None:
            for head, attention in self.attention.items():
                vectors = title_vectors(
                    inputs.descriptions[head], config.title_size, config.title_epochs, config.title_seed
                )
                with torch.no_grad():
                    attention.queries.weight.copy_(vectors)

    @property
    def has_label_attention(self) -> bool:
        """See `Model`."""
        return self.config.chunks == "joined"

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        size, specials, masked = self.config.chunk, self.outline.specials, self.config.masked
        chunks = cut_through(tokens, lengths, size, specials, padded=not masked)
        if masked:
            return join(self.run(chunks, chunks.real)[chunks.real], lengths + 2, tokens.shape[1] + 2)
        mask = chunks.real | ~chunks.real.any(1, keepdim=True)
        return self.run(chunks, mask).reshape(len(tokens), -1, self.width), None

    def run(self, chunks: Chunks, real: Tensor | None) -> Tensor:
        """See `EncoderModel`; all positions of Longformer attend to the first, and it to all."""
        if self.encoder.config.model_type != "longformer":
            return super().run(chunks, real)
        first = torch.zeros_like(chunks.token_ids)
        first[:, 0] = 1
        mask = None if real is None else real.long()
        output = self.encoder(input_ids=chunks.token_ids, attention_mask=mask, global_attention_mask=first)
        return output.last_hidden_state

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        if self.config.chunks == "joined":
            return super().forward(tokens, lengths)
        chunks = cut_apart(tokens, lengths, self.config.chunk, self.outline.specials)
        mask = chunks.real if self.config.masked else None
        logits = run_heads(self.attention, self.run(chunks, chunks.real), mask)  # [C, Y]
        return {head: _means(of_chunks, chunks.counts) for head, of_chunks in logits.items()}

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        if not self.has_label_attention:
            raise NotImplementedError(f"{type(self).__name__} has no label attention with chunks: averaged")
        return super().label_attention(tokens, lengths, labels)

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; <s> is before the first token."""
        return nn.functional.pad(marked, (1, positions - marked.shape[-1] - 1))


def _means(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean over the chunks of each document: [C, Y], [B] -> [B, Y]."""
    return torch.stack([of_document.mean(0) for of_document in values.split(counts.tolist())])


class TitleAttention(ProjectedLabelAttention):
    """Label attention with keys that are linear in the features, and scaled scores.

    Source: Feucht et al. 2021, "Description-based Label Attention Classifier for Explainable ICD-9 Classification";
    the authors' code, which has no tanh although it declares one.

        p_n = dropout(P h_n + c),   a_y = softmax_n(v_y . p_n / sqrt(K)),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args:
        features: D.
        projection: K, rows of P.
        labels: Y.
        dropout: probability that a value of p is dropped.

    Shapes: as `ProjectedLabelAttention`.
    """

    def __init__(self, features: int, projection: int, labels: int, dropout: float) -> None:
        super().__init__(features, projection, labels)
        self.projection = nn.Linear(features, projection)
        self.output.reset_parameters()
        self.dropout = Dropout(dropout)

    def keys(self, features: Tensor) -> Tensor:
        """Return the keys of the attention: [B, N, D] -> [B, N, K]."""
        return self.dropout(self.projection(features)) / math.sqrt(self.projection.out_features)
