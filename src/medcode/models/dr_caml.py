"""DR-CAML: CAML whose output vectors are regularized toward the descriptions of their codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.dr_caml import DrCamlConfig
from medcode.layers.label_attention import label_attention_heads
from medcode.layers.masks import fill_pads, position_mask
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.layers.word_embedding import PAD, WordEmbedding
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class DrCaml(LabelAttentionModel):
    """DR-CAML (Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text", section 2.5; the
    authors' code).

        logits as CAML;   z_y = V max_t tanh(conv(x_t)) + c for the words x_1, x_2, ... of the description of y
        loss of a document = its cross entropy + weight * sum over its codes y of mean_d (w_yd - z_yd)^2

    Before every evaluation, a code without training documents gets the output vector z_y and the bias 0.

    Args: see `WordModel`; config: filters D, kernel K, description_weight, separate_description_table;
        inputs: `descriptions`, needed only for training.

    Shapes: as CAML.

    Departures: as CAML. Descriptions are read with the word vectors of the notes; `separate_description_table` and
        `match_released_code` give them a separate table, as in the authors' code. There, the descriptions of a
        document's codes are padded to the longest of them, and padding enters the maximum; `match_released_code` does
        the same. A code without a description has no penalty, and keeps its output vector if it has no training
        documents either; `match_released_code` describes it by the unknown word, as the authors' code.
    """

    paper = "Mullenbach et al. 2018"
    Config = DrCamlConfig

    def __init__(self, config: DrCamlConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        size = self.embedding_size
        self.convolution = TanhConvolution(size, config.filters, config.kernel)
        self.attention = label_attention_heads(config.filters, inputs.heads)
        self.description_encoder = DescriptionEncoder(size, config.filters, config.kernel, masked=config.masked)
        self.description_table = None
        if config.separate_description_table or config.match_released_code:
            trained, vectors = config.embedding == "trained", self.embedding.table.weight.detach()
            self.description_table = WordEmbedding(inputs.vocab_size, size, vectors, trained=trained, dropout=0.0).table
        for head in inputs.heads:
            words = None if inputs.descriptions is None else inputs.descriptions[head]
            if words is not None and config.match_released_code:
                words = words.clone()
                words[words[:, 0] == PAD, 0] = inputs.vocab_size - 1  # UNK
            self.register_buffer(f"words_{head}", words, persistent=False)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.convolution(self.embedding(tokens).transpose(1, 2)).transpose(1, 2)  # [B, P, D]
        return features, self.real_positions(lengths + self.convolution.extra, features.shape[1])

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`."""
        return self.convolution.windows_around(marked)

    def regularization(self, gold: dict[str, Tensor]) -> Tensor:
        """See `Model`; the second term of the loss, summed over all heads."""
        return self.config.description_weight * sum(self._distances(head, labels) for head, labels in gold.items())

    def _distances(self, head: str, gold: Tensor) -> Tensor:
        """Distance between vector and description, summed over the codes of each document, [B]."""
        gold = gold * (self._words(head)[:, 0] != PAD)
        if self.config.masked:
            codes = gold.any(0).nonzero().squeeze(1)
            return (gold[:, codes] * self._distance(head, codes)).sum(1)
        # Padded to the longest of the document's codes, as the authors pad, a description depends on the document.
        return torch.stack([self._distance(head, labels.nonzero().squeeze(1)).sum() for labels in gold])

    def _distance(self, head: str, codes: Tensor) -> Tensor:
        vectors = self.attention[head].output.weight[codes]
        return (vectors - self._describe(head, codes).to(vectors.dtype)).square().mean(1)  # [codes]

    def _describe(self, head: str, codes: Tensor) -> Tensor:
        """Return description vectors z of some codes, [codes, D]."""
        words = self._words(head)[codes]
        longest = int((words != PAD).sum(1).max()) if len(codes) else 1
        table = self.description_table or self.embedding.table
        return self.description_encoder(table(words[:, :longest]), (words != PAD).sum(1))

    def _words(self, head: str) -> Tensor:
        words = getattr(self, f"words_{head}")
        if words is None:
            raise ValueError("DR-CAML was built without the descriptions that its training needs")
        return words

    @torch.no_grad()
    def before_evaluation(self, train_counts: dict[str, Tensor]) -> None:
        """See `Model`; gives codes without training documents the vectors of their descriptions and the bias 0."""
        for head, counts in train_counts.items():
            output, has_description = self.attention[head].output, self._words(head)[:, 0] != PAD
            unseen = counts.to(has_description.device) == 0
            output.bias[unseen] = 0
            codes = (unseen & has_description).nonzero().squeeze(1)
            if len(codes):
                output.weight[codes] = self._describe(head, codes)


class DescriptionEncoder(nn.Module):
    """Encoder of code descriptions: a convolution, a maximum over the words, and a linear layer.

    Source: Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text", section 2.5; the
    authors' code.

        z = V max_t tanh(conv(x))_t + c

    Args:
        inputs: E.
        features: D.
        kernel: K.
        masked: whether positions that read only padding are left out of the maximum.

    Shapes: [B, T, E], number of words [B] -> [B, D].
    """

    def __init__(self, inputs: int, features: int, kernel: int, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.convolution = TanhConvolution(inputs, features, kernel)
        self.output = nn.Linear(features, features)
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        features = self.convolution(x.transpose(1, 2))  # [B, D, T + extra]
        if self.masked:
            real = position_mask(lengths.clamp(min=1) + self.convolution.extra, features.shape[2])
            features = fill_pads(features, real, -torch.inf)
        return self.output(features.amax(2))
