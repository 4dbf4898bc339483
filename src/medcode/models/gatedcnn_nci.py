"""GatedCNN-NCI: a trellis network, and scores from how words and codes match."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.config.models.gatedcnn_nci import GatedCnnNciConfig
from medcode.layers.code_interaction import CodeInteraction, mean_vectors
from medcode.layers.masks import fill_pads
from medcode.layers.trellis import TrellisEncoder
from medcode.models.base import WordModel


class GatedCnnNci(WordModel):
    """GatedCNN-NCI (Ji et al. 2021, "Medical Code Assignment with Gated Convolution and Note-Code Interaction"; no
    authors' code is public, so sizes and details follow the paper's abstract and an unfinished port to AnEMIC).

        h = last E features of trellis(dropout(x))
        m_y = sum_n (d_y . h_n) h_n,   logit_y = p . (w_y * m_y + b_y)

    with d_y the mean word vector of the description of code y, and no softmax.

    Args: see `WordModel`; config: hidden features of the trellis beside its E outputs, kernel, levels, label_vectors:
        `descriptions` takes d_y from the code's title and keeps it fixed, `learned` trains it.
        descriptions: the words of each label's title, {head: int [Y, T]}; where they are not given, label vectors are
            learned, unless saved ones are loaded.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}. Position t reads words up to t alone.

    Departures: pads are not summed over; `faithful` lets them. Label vectors come from the word vectors as they are
        before training. The port's hidden state that is carried from one batch to the next is left out.
    """

    paper = "Ji et al. 2021"
    Config = GatedCnnNciConfig
    needs_descriptions = True

    def __init__(
        self,
        config: GatedCnnNciConfig,
        vocabulary: int,
        vectors: Tensor | None,
        heads: dict[str, int],
        descriptions: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(config, vocabulary, vectors, heads)
        size = self.embedding_size
        self.encoder = TrellisEncoder(size, config.hidden + size, size, config.kernel, config.levels, config.dropout)
        self.interaction = nn.ModuleDict({head: CodeInteraction(size, labels) for head, labels in heads.items()})
        if descriptions is not None and config.label_vectors == "descriptions":
            for head, interaction in self.interaction.items():
                interaction.fix_queries(mean_vectors(self.embedding.table.weight, descriptions[head]))

    def forward(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        h = self.encoder(self.embedding(tokens).transpose(1, 2))  # [B, E, N]
        h = fill_pads(h, self.real_positions(lengths, tokens.shape[1]))
        return {head: interaction(h) for head, interaction in self.interaction.items()}
