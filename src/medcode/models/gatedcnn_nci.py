"""GatedCNN-NCI: a trellis network, and logits from the interaction of words and codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.gatedcnn_nci import GatedCnnNciConfig
from medcode.layers.convolution import convolve, pad_before
from medcode.layers.dropout import Dropout
from medcode.layers.masks import fill_pads
from medcode.layers.word_embedding import PAD
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs

# Of a word vector, whose components are about 0.1, so that tanh is nearly linear and the features are of its size.
IDENTITY_SCALE = 3.0


class GatedCnnNci(WordModel):
    """GatedCNN-NCI (Ji et al. 2021, "Medical Code Assignment with Gated Convolution and Note-Code Interaction"; no
    authors' code is public, so sizes and details follow the paper's abstract and an unfinished port to AnEMIC).

        h = last E features of trellis(dropout(x))
        m_y = sum_n (d_y . h_n) h_n,   logit_y = p . (w_y * m_y + b_y)

    with d_y the mean word vector of the description of code y, and no softmax.

    Args: see `WordModel`; config: hidden features of the trellis in addition to its E outputs, kernel, levels,
        label_vectors: `descriptions` takes d_y from the code's description and freezes it, `learned` trains it;
        trellis_init: `identity` is ours;
        inputs: `descriptions`, without which label vectors are learned, unless saved ones are loaded.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}. Position t reads only words up to t.

    Departures: the sum over positions leaves padding out; `match_released_code` includes it. Label vectors are computed
        from the word vectors before training. The port carries a hidden state from one batch to the next; that is left
        out.
    """

    paper = "Ji et al. 2021"
    Config = GatedCnnNciConfig

    def __init__(self, config: GatedCnnNciConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        size = self.embedding_size
        self.encoder = TrellisEncoder(size, config.hidden + size, size, config.kernel, config.levels, config.dropout)
        if config.trellis_init == "identity" and not config.match_released_code:
            self.encoder.start_as_identity()
        self.interaction = nn.ModuleDict({head: CodeInteraction(size, labels) for head, labels in inputs.heads.items()})
        if inputs.descriptions is not None and config.label_vectors == "descriptions":
            for head, interaction in self.interaction.items():
                interaction.fix_queries(mean_vectors(self.embedding.table.weight, inputs.descriptions[head]))

    def features(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features h that words and codes interact on, [B, N, E], and the mask of real positions."""
        real = self.real_positions(lengths, tokens.shape[1])
        return fill_pads(self.encoder(self.embedding(tokens).transpose(1, 2)), real).transpose(1, 2), real

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        h = self.features(tokens, lengths)[0].transpose(1, 2)  # [B, E, N]
        return {head: interaction(h) for head, interaction in self.interaction.items()}


class TrellisEncoder(nn.Module):
    """Trellis network: a gated causal convolution that is applied level by level with growing dilation.

    Source: Bai et al. 2019, "Trellis Networks for Sequence Modeling", as Ji et al. 2021 use it in GatedCNN-NCI. Level
    i = 1, 2, ... has dilation i. All levels share their weights, and each reads the words again:

        i, o, g, f = conv(x; W, level) + conv(h; V, level) + b
        c' = sigmoid(f) * c shifted by the level + sigmoid(i) * tanh(g),   h' = sigmoid(o) * tanh(c')

    with h = c = 0 at first. Dropout on h has one mask per document, for all positions and levels. The last level
    computes only the output features, because nothing reads the others.

    Args:
        inputs: E.
        hidden: width of h and c.
        outputs: number of output features, the last ones of h.
        kernel: K.
        levels: number of levels.
        dropout: probability that a feature of h is dropped.

    Shapes: [B, E, N] -> h of the last level, [B, outputs, N]. Position t depends only on positions up to t.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.outputs, self.kernel, self.levels = hidden, outputs, kernel, levels
        self.words = nn.Parameter(torch.empty(4 * hidden, inputs, kernel))
        self.states = nn.Parameter(torch.empty(4 * hidden, hidden, kernel))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        for weights in (self.words, self.states, self.bias):
            nn.init.normal_(weights, std=0.01)
        self.dropout = Dropout(dropout)

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Initialize the weights so that the outputs are nearly tanh of the word at their position.

        The input and output gates begin open, the forget gate nearly closed. All other weights are random, scaled for
        outputs of about the size of the inputs.
        """
        inputs = self.words.shape[1]
        bound = (3 / (inputs * self.kernel)) ** 0.5
        self.words.uniform_(-bound, bound)
        self.states.uniform_(-bound / 2, bound / 2)
        _, _, candidates, _ = self.words.chunk(4)  # those of the gates i, o, g, f
        outputs = candidates[-self.outputs :]
        outputs *= 0.1
        outputs[:, :, -1] += IDENTITY_SCALE * torch.eye(self.outputs, inputs)
        i, o, g, f = self.bias.chunk(4)
        for bias, value in ((i, 1.0), (o, 1.0), (g, 0.0), (f, -2.0)):
            bias.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], self.hidden, x.shape[2])
        mask = self.dropout(x.new_ones(x.shape[0], self.hidden, 1))
        for level in range(1, self.levels + 1):
            width = self.outputs if level == self.levels else self.hidden
            gates = self._causal(x, self._last(self.words, width), level) + self._last(self.bias, width).unsqueeze(1)
            if level > 1:  # h is zero before
                gates = gates + self._causal(h, self._last(self.states, width), level)
            i, o, g, f = gates.chunk(4, dim=1)
            shifted = nn.functional.pad(c[:, -width:], (level, 0))[:, :, : c.shape[2]]
            c = torch.sigmoid(f) * shifted + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c) * mask[:, -width:]
        return h

    def _last(self, weights: Tensor, features: int) -> Tensor:
        """Return the weights of the last features of h and c: [4 hidden, ...] -> [4 features, ...]."""
        return weights.unflatten(0, (4, self.hidden))[:, -features:].flatten(0, 1)

    def _causal(self, x: Tensor, weights: Tensor, dilation: int) -> Tensor:
        return convolve(pad_before(x, (self.kernel - 1) * dilation), weights, dilation=dilation)


class CodeInteraction(nn.Module):
    """Note-code interaction: label attention without a softmax, and one projection for all labels.

    Source: Ji et al. 2021, "Medical Code Assignment with Gated Convolution and Note-Code Interaction".

        m_y = sum_n (d_y . h_n) h_n,   logit_y = p . (w_y * m_y + b_y)

    There is no softmax, so the sum over positions is computed first: m_y = (sum_n h_n h_n^T) d_y. As in label attention
    the queries d have an unused bias, kept so that parameters count as in the port.

    Args:
        features: D.
        labels: Y.

    Shapes: [B, D, N], zero at padding -> logits [B, Y].
    """

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.queries = nn.Linear(features, labels)
        self.output = nn.Linear(features, labels)
        self.projection = nn.Linear(features, 1, bias=False)
        nn.init.xavier_uniform_(self.queries.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def keys(self, features: Tensor) -> Tensor:
        """Return what the queries are compared with: the features themselves, [B, N, D]."""
        return features

    def fix_queries(self, vectors: Tensor) -> None:
        """Set the queries d to these vectors, [Y, D], and freeze them."""
        with torch.no_grad():
            self.queries.weight.copy_(vectors)
        self.queries.weight.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        products = features @ features.transpose(1, 2)  # [B, D, D], symmetric
        messages = nn.functional.linear(products, self.queries.weight).transpose(1, 2)  # [B, Y, D]
        weights = self.output.weight * self.projection.weight  # [Y, D]
        return (messages.float() * weights).sum(2) + self.output.bias * self.projection.weight.sum()


def mean_vectors(table: Tensor, words: Tensor) -> Tensor:
    """Return the mean word vector of each text, or zero: [rows, E], int [Y, T] padded with 0 -> [Y, E]."""
    with torch.no_grad():
        real = (words != PAD).unsqueeze(2)
        return (table[words] * real).sum(1) / real.sum(1).clamp(min=1)
