"""HyperCore: codes in a hyperbolic tree and in a graph of what occurs together; a reconstruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from medcode.config.models.hypercore import HyperCoreConfig
from medcode.dataset.code_tree import CodeTree
from medcode.dataset.title_words import mean_vectors
from medcode.layers.context_vectors import context_vectors
from medcode.layers.graph_convolution import FixedGraph, GraphConvolution, normalized
from medcode.layers.masks import masked_softmax
from medcode.layers.poincare import distance, mapped_distances, point, tree_vectors
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.layers.word_embedding import PAD
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs

if TYPE_CHECKING:
    from scipy import sparse

# Initial weights with `convolution_init: identity`: of the word in the middle, whose components are about 0.1, so that
# tanh is nearly linear; and the share that is left of Xavier's.
IDENTITY_SCALE, RANDOM_SHARE = 3.0, 0.1
ANCESTORS = 4  # the code, its category, its block, its chapter


class HyperCore(WordModel):
    """HyperCore (Cao et al. 2020, "HyperCore: Hyperbolic and Co-graph Representation for Automatic ICD Coding"), a
    reconstruction from others' descriptions: no authors' code is public.

        h = tanh(conv(dropout(x))),   m_y = sum_n softmax_n(q_y . h_n) h_n
        t_y = sigmoid(a . m_y + a0) P m_y / |P m_y|,   s_yj = distance(t_y, e_j)
        v = relu(A relu(A q W) W'),   c_y = sum_j softmax_j(m_y . v_j) v_j
        logit_y = w_y . (S s_y + C c_y + c0) + b_y

    with q_y the mean initial word vector of the title of y; e_j the vector of code j in the Poincaré ball, learned from
    the tree; A the normalized graph of codes, where an edge weighs the number of training documents with both codes.
    Neither q, e nor A is trained.

    Args: see `WordModel`; config: kernel, hyperbolic_size of t and e, graph_layers, targets, and others
        (`HyperCoreConfig`);
        inputs: `tree`, `cooccurrence` and `tokenize`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, P]} with P as CAML's.

    Departures: no size is published in a source that we could read; kernel, widths, the number of graph layers, how
        vectors in the ball are learned, one projection into the ball for all codes, and codes' features of the width of
        word vectors are ours. A label whose title has no known word has the query of its category, else of the node
        above that. With `targets: ancestors`, which is ours, j runs over y and the three levels above it only. Padding
        is masked in the attention.
    """

    paper = "Cao et al. 2020"
    Config = HyperCoreConfig

    def __init__(self, config: HyperCoreConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.convolution = TanhConvolution(self.embedding_size, self.embedding_size, config.kernel)
        if config.convolution_init == "identity":
            start_as_identity(self.convolution)
        self.attention = nn.ModuleDict(
            {
                head: HyperbolicGraphAttention(self.embedding_size, labels, config, self._code_vectors(head, inputs))
                for head, labels in inputs.heads.items()
            }
        )

    def _code_vectors(self, head: str, inputs: ModelInputs) -> tuple[Tensor, Tensor, sparse.csr_matrix] | None:
        """Return the queries and targets of a head's labels, and their graph; None for a saved model."""
        if inputs.tree is None or inputs.cooccurrence is None or inputs.tokenize is None:
            return None
        config, tree = self.config, CodeTree.of_paths(inputs.tree[head])
        words = tree.words(inputs.tokenize, (PAD, inputs.vocab_size - 1))  # without unknown ones
        queries = mean_vectors(self.embedding.table.weight, [words[node] for node in tree.labels])
        if config.query_norm is not None:
            queries = config.query_norm * nn.functional.normalize(queries, dim=1)
        points = tree_vectors(
            tree.parents,
            config.hyperbolic_size,
            negatives=config.poincare_negatives,
            epochs=config.poincare_epochs,
            seed=config.poincare_seed,
        )
        if config.targets == "all":
            targets = points[tree.labels]
        else:
            nodes = [[label, *above] for label, above in zip(tree.labels, tree.ancestors, strict=True)]
            targets = points[torch.tensor(nodes)]  # [Y, 4, H]
        return queries, targets, normalized(inputs.cooccurrence[head], logarithmic=config.cooccurrence == "log")

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features [B, P, E] and the mask of real positions, bool [B, P]; None where padding is not masked."""
        features = self.convolution(self.embedding(tokens).transpose(1, 2)).transpose(1, 2)
        return features, self.real_positions(lengths + self.convolution.extra, features.shape[1])

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        features, real = self.encode(tokens, lengths)
        return {head: attention(features, real) for head, attention in self.attention.items()}

    def label_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `Model`."""
        return self._weights(*self.encode(tokens, lengths), labels)

    def forward_with_attention(
        self, tokens: Tensor, lengths: Tensor, labels: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Model`."""
        features, real = self.encode(tokens, lengths)
        logits = {head: attention(features, real) for head, attention in self.attention.items()}
        return logits, self._weights(features, real, labels)

    def _weights(self, features: Tensor, real: Tensor | None, labels: dict[str, Tensor] | None) -> dict[str, Tensor]:
        chosen = dict.fromkeys(self.heads) if labels is None else labels
        return {head: self.attention[head].weights(features, real, indices) for head, indices in chosen.items()}

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`."""
        return self.convolution.windows_around(marked)


@torch.no_grad()
def start_as_identity(convolution: TanhConvolution) -> None:
    """Initialize a convolution so that each feature is nearly that of the word in the middle of its window."""
    size, middle = convolution.in_channels, convolution.kernel_size[0] // 2
    convolution.weight *= RANDOM_SHARE
    convolution.weight[:, :, middle] += IDENTITY_SCALE * torch.eye(size)
    nn.init.zeros_(convolution.bias)


class HyperbolicGraphAttention(nn.Module):
    """Label attention by titles, compared with the codes in the Poincaré ball and in their graph.

    Source: Cao et al. 2020, "HyperCore: Hyperbolic and Co-graph Representation for Automatic ICD Coding"; the formula
    is in `HyperCore`.

    Args:
        features: D.
        labels: Y.
        config: options of HyperCore.
        vectors: queries [Y, D], targets [Y, H] or [Y, 4, H], and the adjacency of the graph, [Y, Y]; None leaves them
            to the weights that are loaded later.

    Shapes: [B, N, D], bool [B, N] or None -> logits fp32 [B, Y].
    """

    def __init__(
        self,
        features: int,
        labels: int,
        config: HyperCoreConfig,
        vectors: tuple[Tensor, Tensor, sparse.csr_matrix] | None,
    ) -> None:
        super().__init__()
        size, of_all = config.hyperbolic_size, config.targets == "all"
        if vectors is None:
            targets = torch.zeros(labels, size) if of_all else torch.zeros(labels, ANCESTORS, size)
            vectors = torch.zeros(labels, features), targets, None
        queries, targets, adjacency = vectors
        self.register_buffer("titles", queries)
        self.register_buffer("targets", targets)
        self.distance_scale = config.distance_scale
        self.queries = nn.Linear(features, features, bias=False) if config.projected_queries else nn.Identity()
        self.direction = nn.Linear(features, size)
        self.magnitude = nn.Linear(features, 1)
        self.similarity = nn.Linear(labels if of_all else ANCESTORS, features, bias=False)
        self.graph = FixedGraph(labels, adjacency)
        self.convolutions = nn.ModuleList(GraphConvolution(features, features) for _ in range(config.graph_layers))
        self.codes = nn.Linear(features, features)
        self.output = nn.Linear(features, labels)
        for layer in (self.direction, self.magnitude, self.similarity, self.codes, self.output):
            nn.init.xavier_uniform_(layer.weight)

    def weights(self, features: Tensor, mask: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Return the attention of all labels, or of those with the indices `labels`: [B, N, D] -> fp32 [B, Y, N].

        Args:
            labels: int [Y'] for all documents alike, or int [B, Y'] for each document its own.
        """
        queries = self.queries(self.titles)
        queries = queries if labels is None else queries[labels]
        return masked_softmax(queries @ features.transpose(1, 2), mask)

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        messages = context_vectors(self.queries(self.titles).unsqueeze(0), features, features, mask)  # [B, Y, D]
        related = context_vectors(messages, *[self.code_vectors().unsqueeze(0)] * 2)  # [B, Y, D]
        joined = self.distances(self.points(messages)) + self.codes(related)
        return (joined.float() * self.output.weight).sum(2) + self.output.bias

    def code_vectors(self) -> Tensor:
        """Return the vectors of the labels in their graph, [Y, D]."""
        vectors = self.titles
        for convolution in self.convolutions:
            vectors = convolution(vectors, self.graph)
        return vectors

    def points(self, messages: Tensor) -> Tensor:
        """Return what each label reads as a point in the Poincaré ball: [B, Y, D] -> fp32 [B, Y, H]."""
        with torch.autocast(messages.device.type, enabled=False):
            messages = messages.to(self.direction.weight.dtype)
            return point(self.direction(messages), self.magnitude(messages).squeeze(2))

    def distances(self, points: Tensor) -> Tensor:
        """Return the linear map of the distances of points to the targets: [B, Y, H] -> [B, Y, D]."""
        weight = self.distance_scale * self.similarity.weight
        if self.targets.dim() == 2:
            return mapped_distances(points, self.targets, weight)
        return nn.functional.linear(distance(points.unsqueeze(2), self.targets), weight)
