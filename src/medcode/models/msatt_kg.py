"""MSATT-KG: densely connected convolutions of several scales, and codes in their tree; a reconstruction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.msatt_kg import MsattKgConfig
from medcode.dataset.code_tree import CodeTree
from medcode.dataset.title_words import padded
from medcode.layers.context_vectors import context_vectors
from medcode.layers.convolution import Convolution
from medcode.layers.graph_convolution import FixedGraph
from medcode.layers.loaded_buffers import resize_to_loaded
from medcode.layers.masks import fill_pads, masked_softmax
from medcode.layers.word_embedding import PAD
from medcode.models.base import WordModel
from medcode.models.inputs import ModelInputs, TrainingOutput

TITLE_KERNEL = 3
# Initial weights with `convolution_init: tied`: norm of the column of an input, at which words that match score about 3
# more than others, for word vectors of norm 1; and the share that is left of torch's weights.
TIED_NORM, RANDOM_SHARE = 2.4, 0.3


class MsattKg(WordModel):
    """MSATT-KG (Xie et al. 2019, "EHR Coding with Multi-scale Feature Attention and Structured Knowledge Graph
    Propagation"), a reconstruction from others' descriptions: no authors' code is public.

        x^l = relu(conv([x^0; ...; x^(l-1)])),   a_n = softmax_l(T s_n + t) with s_nl = sum of the features x^l_n
        h_n = sum_l a_nl x^l_n
        v = max relu(conv(title)) of each node of the tree,   g = v after K steps of
        g <- relu(S g + P (mean of the parents) + C (mean of the children) + b)
        c_y = sum_n softmax_n(v_y . h_n) h_n,   logit_y = (O c_y + o) . [v_y; g_y]
        number of codes of the note = u . max_n h_n + u0

    No weight belongs to a label, so the tree and its titles alone say what a label is.

    Args: see `WordModel`; config: blocks l, their kernel and filters, graph_steps K, and others (`MsattKgConfig`);
        inputs: `tree` and `tokenize`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: no size is published in a source that we could read; sizes, the form of the graph's steps (as ZAGCNN's),
        the weight of the number of codes in the loss and its logarithm are ours. A ReLU of O c_y + o, as ZAGCNN has it
        (`output_activation: relu`), would leave no logit below 0, as v and g have none. Titles are encoded with the
        notes' word vectors by a convolution that is trained with all else; the paper's was trained beforehand. A node
        whose title has no known word has that of the node above. Unless `decision: top_t` is set, a threshold decides
        which codes are predicted; the paper predicts as many of the best as the note is said to have. Padding is
        masked.
    """

    paper = "Xie et al. 2019"
    Config = MsattKgConfig

    def __init__(self, config: MsattKgConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.encoder = MultiScaleEncoder(self.embedding_size, config.filters, config.kernel, config.blocks)
        encoder_cls = ConvolvedTitles if config.titles == "convolution" else MeanTitles
        self.titles = encoder_cls(self.embedding_size, config.filters)
        if config.convolution_init == "tied":
            start_tied(self.encoder, self.titles)
        unknown = inputs.vocab_size - 1
        self.attention = nn.ModuleDict()
        for head, labels in inputs.heads.items():
            tree, words = None, None
            if inputs.tree is not None and inputs.tokenize is not None:
                tree = CodeTree.of_paths(inputs.tree[head])
                words = padded(tree.words(inputs.tokenize, (PAD, unknown)))
            self.attention[head] = TreeAttention(config, labels, tree, words)
        self.counters = nn.ModuleDict({head: nn.Linear(config.filters, 1) for head in inputs.heads})

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features [B, N, D] and the mask of real positions, bool [B, N]; None where padding is not masked."""
        real = self.real_positions(lengths, tokens.shape[1])
        return self.encoder(self.embedding(tokens).transpose(1, 2), real), real

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        return self._decided(*self.encode(tokens, lengths))

    def training_forward(
        self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor], epoch: Tensor
    ) -> TrainingOutput:
        """See `Model`; adds the squared error of the number of codes."""
        features, real = self.encode(tokens, lengths)
        error = torch.zeros(len(tokens), device=features.device)
        for head, labels in gold.items():
            number = labels.sum(1).float()
            target = number.log1p() if self.config.count_target == "log" else number
            error = error + (self._count(head, features, real) - target).square()
        return TrainingOutput([self._logits(features, real)], {"train_count_loss": self.config.count_weight * error})

    def number_of_codes(self, head: str, features: Tensor, real: Tensor | None) -> Tensor:
        """Return how many codes each document has, at least one: [B, N, D], bool [B, N] -> int [B]."""
        count = self._count(head, features, real)
        count = count.expm1() if self.config.count_target == "log" else count
        return count.round().clamp(1, self.heads[head]).long()

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
        return self._decided(features, real), self._weights(features, real, labels)

    def _decided(self, features: Tensor, real: Tensor | None) -> dict[str, Tensor]:
        """Return the logits of every head, after training on the scale of the decision."""
        logits = self._logits(features, real)
        if self.config.decision == "threshold" or self.training:
            return logits
        return {head: above_zero(x, self.number_of_codes(head, features, real)) for head, x in logits.items()}

    def _logits(self, features: Tensor, real: Tensor | None) -> dict[str, Tensor]:
        return {head: attention(features, real, self._nodes(head)) for head, attention in self.attention.items()}

    def _weights(self, features: Tensor, real: Tensor | None, labels: dict[str, Tensor] | None) -> dict[str, Tensor]:
        weights = {}
        for head, indices in (dict.fromkeys(self.heads) if labels is None else labels).items():
            queries = self._nodes(head)[self.attention[head].labels]
            weights[head] = masked_softmax((queries if indices is None else queries[indices]) @ features.mT, real)
        return weights

    def _nodes(self, head: str) -> Tensor:
        """Return the encoded titles of all nodes of a head's tree, [M, D]."""
        words = self.attention[head].words
        return self.titles(self.embedding.table(words), words != PAD)

    def _count(self, head: str, features: Tensor, real: Tensor | None) -> Tensor:
        highest = features if real is None else features.masked_fill(~real.unsqueeze(2), -torch.inf)
        return self.counters[head](highest.amax(1)).squeeze(1).float()


class MultiScaleEncoder(nn.Module):
    """Densely connected convolutions, and an attention over their scales at every position.

    Source: Xie et al. 2019; Wang et al. 2018, "Densely Connected CNN with Multi-scale Feature Attention for Text
    Classification", whose three linear layers between sums and weights are one, without activations between them.

    Args:
        inputs: E.
        features: D of each block.
        kernel: K, odd.
        blocks: number of blocks; block l sees (K - 1) l + 1 words.

    Shapes: [B, E, N], bool [B, N] or None -> [B, N, D].
    """

    def __init__(self, inputs: int, features: int, kernel: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Convolution(inputs + number * features, features, kernel, padding=kernel // 2) for number in range(blocks)
        )
        self.scales = nn.Linear(blocks, blocks)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        states = [x]
        for block in self.blocks:
            states.append(fill_pads(torch.relu(block(torch.cat(states, dim=1))), mask))
        scales = torch.stack(states[1:], dim=-1)  # [B, D, N, blocks]
        weights = self.scales(scales.sum(1)).softmax(2)  # [B, N, blocks]
        return (scales * weights.unsqueeze(1)).sum(3).transpose(1, 2)


@torch.no_grad()
def start_tied(encoder: MultiScaleEncoder, titles: ConvolvedTitles | MeanTitles) -> None:
    """Initialize the encoders of notes and titles with the same random map of a word, in place."""
    first, features = encoder.blocks[0], encoder.blocks[0].out_channels
    shared = torch.randn(features, first.in_channels) * TIED_NORM / features**0.5
    for block in encoder.blocks:
        block.weight *= RANDOM_SHARE
        block.weight[:, : first.in_channels, block.kernel_size[0] // 2] += shared
        nn.init.zeros_(block.bias)
    layer = titles.linear if isinstance(titles, MeanTitles) else titles.convolution
    layer.weight *= RANDOM_SHARE
    middle = layer.weight if isinstance(titles, MeanTitles) else layer.weight[:, :, TITLE_KERNEL // 2]
    middle += shared
    nn.init.zeros_(layer.bias)


class ConvolvedTitles(nn.Module):
    """Encoder of titles: a convolution, a ReLU, and the maximum over the words; zero for a title without words.

    Args:
        inputs: E.
        features: D.

    Shapes: [M, T, E], bool [M, T] -> [M, D].
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, features, TITLE_KERNEL, padding=TITLE_KERNEL // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return fill_pads(torch.relu(self.convolution(x.transpose(1, 2))), mask).amax(2)


class MeanTitles(nn.Module):
    """Encoder of titles: a linear map of the mean word vector. Arguments and shapes as `ConvolvedTitles`."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, features)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        real = mask.unsqueeze(2)
        return self.linear((x * real).sum(1) / real.sum(1).clamp(min=1))


class TreeAttention(nn.Module):
    """Label attention by titles, and logits from titles and from what their neighbors in the tree tell.

    Source: Xie et al. 2019; the steps as Rios and Kavuluru 2018, "Few-Shot and Zero-Shot Multi-Label Learning for
    Structured Label Spaces", section 3.3. The formula is in `MsattKg`.

    Args:
        config: options of MSATT-KG, with D features and the number of steps.
        labels: Y.
        tree: None leaves it to the weights that are loaded later.
        words: ids of the words of the title of each of its nodes, padded with 0, int [M, T].

    Shapes: [B, N, D], bool [B, N] or None, titles of the nodes [M, D] -> logits [B, Y].
    """

    words: Tensor
    labels: Tensor

    def __init__(self, config: MsattKgConfig, labels: int, tree: CodeTree | None, words: Tensor | None) -> None:
        super().__init__()
        features = config.filters
        self.register_buffer("words", torch.zeros(labels, 1, dtype=torch.long) if words is None else words)
        self.register_buffer("labels", torch.arange(labels) if tree is None else torch.tensor(tree.labels))
        parents, children = (None, None) if tree is None else tree.neighbors()
        self.above, self.below = FixedGraph(len(self.words), parents), FixedGraph(len(self.words), children)
        self.steps = nn.ModuleList(TreeStep(features) for _ in range(config.graph_steps))
        self.output = nn.Linear(features, 2 * features)
        self.activation = nn.ReLU() if config.output_activation == "relu" else nn.Identity()
        self.register_load_state_dict_pre_hook(resize_to_loaded)

    def forward(self, features: Tensor, mask: Tensor | None, titles: Tensor) -> Tensor:
        states = titles
        for step in self.steps:
            states = step(states, self.above, self.below)
        queries = titles[self.labels]  # [Y, D]
        context = context_vectors(queries.unsqueeze(0), features, features, mask)  # [B, Y, D]
        vectors = torch.cat([queries, states[self.labels]], dim=1)  # [Y, 2 D]
        return (self.activation(self.output(context)).float() * vectors).sum(2)


class TreeStep(nn.Module):
    """One step over the tree: every node reads itself, its parents and its children, each by a linear map.

    Args:
        features: D.

    Shapes: [M, D], the graphs of means over parents and over children -> [M, D].
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.itself = nn.Linear(features, features)
        self.from_parents = nn.Linear(features, features, bias=False)
        self.from_children = nn.Linear(features, features, bias=False)

    def forward(self, x: Tensor, above: FixedGraph, below: FixedGraph) -> Tensor:
        return torch.relu(self.itself(x) + self.from_parents(above(x)) + self.from_children(below(x)))


def above_zero(logits: Tensor, counts: Tensor) -> Tensor:
    """Shift the logits of each document so that as many are above 0 as it has codes: [B, Y], int [B] -> [B, Y]."""
    ordered = nn.functional.pad(logits.sort(dim=1, descending=True).values, (0, 1), value=-torch.inf)
    last = ordered.gather(1, counts.unsqueeze(1) - 1)
    following = ordered.gather(1, counts.unsqueeze(1)).maximum(last - 2)  # where all are predicted there is none
    return logits - (last + following) / 2
