"""A plain twin of every model on words: the mathematics of its authors' code, in the most direct torch.

Twins are what our training steps are measured against (`cpu_steps.py`). They use torch's layers as they are, compute
context vectors of label attention, sample dropout by nn.Dropout, and mask no padding, as `match_released_code` has it.
Parameters are in the order of our models', so that weights can be copied. Whatever the authors' code does besides
(reading files, checks, losses of each batch that are printed) is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import twin_layers as layers
from torch import Tensor, nn

from medcode.config.models.base import ModelConfig
from medcode.config.models.joint_laat import FIRST_LEVEL
from medcode.models.inputs import ModelInputs


class Twin(nn.Module, ABC):
    """A twin: word vectors, then what a subclass builds.

    Args:
        config: options of our model.
        inputs: as our model's; `vectors` are required.
    """

    def __init__(self, config: ModelConfig, inputs: ModelInputs) -> None:
        super().__init__()
        self.config, self.heads, self.size = config, inputs.heads, inputs.vectors.shape[1]
        self.words = layers.Words(inputs.vectors, trained=config.embedding == "trained", dropout=config.dropout)
        self.build(inputs)

    @abstractmethod
    def build(self, inputs: ModelInputs) -> None:
        """Build all layers but the word vectors."""

    @abstractmethod
    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Compute the logits: int [B, N], int [B] -> {head: [B, Y]}."""

    def penalty(self, gold: dict[str, Tensor]) -> Tensor | float:
        """Return what is added to the loss, a scalar."""
        return 0.0

    def caml_heads(self, features: int) -> nn.ModuleDict:
        """Build a label attention for each head."""
        return nn.ModuleDict({head: layers.Attention(features, labels) for head, labels in self.heads.items()})

    def linear_heads(self, features: int) -> nn.ModuleDict:
        """Build a linear layer for each head."""
        return nn.ModuleDict({head: nn.Linear(features, labels) for head, labels in self.heads.items()})


class Cnn(Twin):
    """Twin of CNN."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        self.convolution = nn.Conv1d(self.size, self.config.filters, self.config.kernel)
        self.output = self.linear_heads(self.config.filters)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = torch.tanh(self.convolution(self.words(tokens).transpose(1, 2)))
        pooled = nn.functional.max_pool1d(h, kernel_size=h.shape[2]).squeeze(2)
        return {head: layer(pooled) for head, layer in self.output.items()}


class BiGru(Twin):
    """Twin of BiGRU: not packed, the last state of each direction."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        both, width = self.config.bidirectional, self.config.width
        self.network = nn.GRU(self.size, width // (2 if both else 1), batch_first=True, bidirectional=both)
        self.output = self.linear_heads(width)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        last = torch.cat(tuple(self.network(self.words(tokens))[1]), dim=1)
        return {head: layer(last) for head, layer in self.output.items()}


class Caml(Twin):
    """Twin of CAML."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        kernel = self.config.kernel
        self.convolution = nn.Conv1d(self.size, self.config.filters, kernel, padding=kernel // 2)
        self.attention = self.caml_heads(self.config.filters)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = torch.tanh(self.convolution(self.words(tokens).transpose(1, 2)).transpose(1, 2))
        return {head: attention(h) for head, attention in self.attention.items()}


class DrCaml(Caml):
    """Twin of DR-CAML: descriptions are encoded document by document, with word vectors of their own."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        super().build(inputs)
        kernel, filters = self.config.kernel, self.config.filters
        self.description_convolution = nn.Conv1d(self.size, filters, kernel, padding=kernel // 2)
        self.description_output = nn.Linear(filters, filters)
        trained = self.config.embedding == "trained"
        self.description_words = layers.Words(inputs.vectors, trained=trained, dropout=0.0)
        self.descriptions = inputs.descriptions

    def penalty(self, gold: dict[str, Tensor]) -> Tensor:
        """See `Twin`."""
        differences = []
        for head, labels in gold.items():
            for document in labels:
                codes = document.nonzero().squeeze(1)
                if len(codes):
                    words = self.descriptions[head][codes]
                    vectors = self.describe(words[:, : int((words != 0).sum(1).max())])
                    difference = (self.attention[head].output.weight[codes] - vectors).pow(2).mean() * len(codes)
                    differences.append(self.config.description_weight * difference)
        return sum(differences) / len(labels)

    def describe(self, words: Tensor) -> Tensor:
        """Encode descriptions: int [codes, T] -> [codes, D]."""
        h = torch.tanh(self.description_convolution(self.description_words(words).transpose(1, 2)))
        return self.description_output(nn.functional.max_pool1d(h, kernel_size=h.shape[2]).squeeze(2))


class MultiResCnn(Twin):
    """Twin of MultiResCNN."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        size, filters, kernels, dropout = self.size, self.config.filters, self.config.kernels, self.config.dropout
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, k, padding=k // 2) for k in kernels)
        self.residuals = nn.ModuleList(layers.Residual(size, filters, k, nn.BatchNorm1d, dropout) for k in kernels)
        self.attention = self.caml_heads(filters * len(kernels))

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        x, features = self.words(tokens).transpose(1, 2), []
        for convolution, residual in zip(self.convolutions, self.residuals, strict=True):
            features.append(residual(torch.tanh(convolution(x))).transpose(1, 2))
        h = torch.cat(features, dim=2)
        return {head: attention(h) for head, attention in self.attention.items()}


class Laat(Twin):
    """Twin of LAAT."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        self.network = layers.PackedNetwork(self.config.rnn, self.size, self.config.hidden)
        self.attention = nn.ModuleDict({head: self.projected(labels) for head, labels in self.heads.items()})

    def projected(self, labels: int, extra: int = 0) -> layers.ProjectedAttention:
        """Build the label attention of a head."""
        return layers.ProjectedAttention(2 * self.config.hidden, self.config.projection, labels, extra)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = self.network(self.words(tokens), lengths)
        return {head: attention(h) for head, attention in self.attention.items()}


class JointLaat(Laat):
    """Twin of JointLAAT."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        self.network = layers.PackedNetwork(self.config.rnn, self.size, self.config.hidden)
        extra, heads = self.config.level_projection, self.heads.items()
        self.attention = nn.ModuleDict(
            {head: self.projected(labels, 0 if head == FIRST_LEVEL else extra) for head, labels in heads}
        )
        self.level_projection = nn.Linear(self.heads[FIRST_LEVEL], extra, bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = self.network(self.words(tokens), lengths)
        first = self.attention[FIRST_LEVEL](h)
        s = torch.sigmoid(self.level_projection(torch.sigmoid(first)))
        return {head: first if head == FIRST_LEVEL else attention(h, s) for head, attention in self.attention.items()}


class Recurrent(Twin):
    """Twin of BiGRU with label attention, of MT-RAM and of MARN: not packed, with RAM where the options have it."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        both, hidden = self.config.bidirectional, self.config.hidden
        self.network = nn.GRU(self.size, hidden, batch_first=True, bidirectional=both)
        features = hidden * (2 if both else 1)
        self.attention = self.caml_heads(features)
        self.recalibration = layers.Recalibration(features, self.config.dropout) if self.config.ram else None

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = self.network(self.words(tokens))[0]
        if self.recalibration is not None:
            h = self.recalibration(h.transpose(1, 2)).transpose(1, 2)
        return {head: attention(h) for head, attention in self.attention.items()}


class Dcan(Twin):
    """Twin of DCAN."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        hidden, levels = self.config.hidden, self.config.levels
        widths = [self.size] + [hidden] * levels
        self.blocks = nn.Sequential(
            *(
                layers.TemporalBlock(widths[i], widths[i + 1], self.config.kernel, 2**i, self.config.dropout)
                for i in range(levels)
            )
        )
        self.projection = nn.Linear(hidden, self.config.projection)
        self.attention = self.caml_heads(self.config.projection)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h = torch.relu(self.projection(self.blocks(self.words(tokens).transpose(1, 2)).transpose(1, 2)))
        return {head: attention(h) for head, attention in self.attention.items()}


class Fusion(Twin):
    """Twin of Fusion."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        size, filters, kernels = self.size, self.config.filters, self.config.kernels
        features = filters * len(kernels)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, k, padding=k // 2) for k in kernels)
        self.scores = nn.ModuleList(nn.Conv1d(size, 1, 1, bias=False) for _ in kernels)
        self.residuals = nn.ModuleList(layers.Residual(size, filters, k, layers.GroupNorm, 0.0) for k in kernels)
        self.positions = nn.Embedding(self.config.positions + 1, features, padding_idx=0)
        self.positions.weight.requires_grad_(False)
        self.transformer = layers.Transformer(features, self.config.attention_heads, self.config.feed_forward)
        self.dropout = nn.Dropout(self.config.dropout)
        self.attention = self.caml_heads(features)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        x, features = self.words(tokens).transpose(1, 2), []
        for convolution, score, residual in zip(self.convolutions, self.scores, self.residuals, strict=True):
            features.append(residual(self.pool(torch.tanh(convolution(x)), score)))
        h = torch.cat(features, dim=1).transpose(1, 2)
        places = torch.arange(1, h.shape[1] + 1).expand(h.shape[0], -1)
        h = self.dropout(torch.tanh(self.transformer(h + self.positions(places))))
        return {head: attention(h) for head, attention in self.attention.items()}

    def pool(self, x: Tensor, score: nn.Module) -> Tensor:
        """Pool every `window` words by attention: [B, E, N] -> [B, E, ceil(N / window)]."""
        window = self.config.window
        x = nn.functional.pad(x, (0, -x.shape[2] % window))
        weights = torch.softmax(score(x).view(x.shape[0], 1, -1, window), dim=3)
        return (x.view(*x.shape[:2], -1, window) * weights).sum(dim=3)


class GatedCnnNci(Twin):
    """Twin of GatedCNN-NCI: scores of labels and positions, then their product with the features."""

    def build(self, inputs: ModelInputs) -> None:
        """See `Twin`."""
        size, options = self.size, self.config
        self.encoder = layers.Trellis(
            size, options.hidden + size, size, options.kernel, options.levels, options.dropout
        )
        self.interaction = nn.ModuleDict()
        for head, labels in self.heads.items():
            parts = {"queries": nn.Linear(size, labels), "output": nn.Linear(size, labels)}
            self.interaction[head] = nn.ModuleDict(parts | {"projection": nn.Linear(size, 1, bias=False)})
            if options.label_vectors == "descriptions":
                parts["queries"].weight.requires_grad_(False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """See `Twin`."""
        h, logits = self.encoder(self.words(tokens).transpose(1, 2)), {}
        for head, parts in self.interaction.items():
            messages = parts["queries"].weight.matmul(h).matmul(h.transpose(1, 2))  # [B, Y, E]
            messages = parts["output"].weight.mul(messages).add(parts["output"].bias.unsqueeze(1))
            logits[head] = parts["projection"](messages).squeeze(2)
        return logits


TWINS: dict[str, type[Twin]] = {
    "bigru": BiGru, "bigru_label_attention": Recurrent, "caml": Caml, "cnn": Cnn, "dcan": Dcan, "dr_caml": DrCaml,
    "fusion": Fusion, "gatedcnn_nci": GatedCnnNci, "joint_laat": JointLaat, "laat": Laat, "marn": Recurrent,
    "mt_ram": Recurrent, "multirescnn": MultiResCnn,
}  # fmt: skip
