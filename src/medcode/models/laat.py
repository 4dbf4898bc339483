"""LAAT: a BiLSTM, and label attention on a projection of its states."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.config.models.laat import LaatConfig
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.layers.recurrent import Recurrent
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class Laat(LabelAttentionModel):
    """LAAT (Vu et al. 2020, "A Label Attention Model for ICD Coding from Clinical Text"; the authors' code).

        h = BiLSTM(dropout(x))
        a_y = softmax_n(u_y . tanh(W h_n)),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: rnn, hidden width of each direction, projection (rows of W).

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: padding is masked in the attention; `match_released_code` does not mask it, as the authors' code, where
        the states of padding are zero: the BiLSTM does not read padding there either. Linear layers that the authors'
        code builds but never calls are left out.
    """

    paper = "Vu et al. 2020"
    Config = LaatConfig

    def __init__(self, config: LaatConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.recurrent = Recurrent(config.rnn, self.embedding_size, config.hidden, bidirectional=True)
        self.attention = nn.ModuleDict(
            {
                head: ProjectedLabelAttention(self.recurrent.features, config.projection, labels)
                for head, labels in inputs.heads.items()
            }
        )

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features, _ = self.recurrent(self.embedding(tokens), lengths)  # [B, N, D]
        return features, self.real_positions(lengths, tokens.shape[1])
