"""BiGRU with label attention: the baseline that MT-RAM is built on."""

from __future__ import annotations

from torch import Tensor

from medcode.config.models.bigru_label_attention import BiGruLabelAttentionConfig
from medcode.layers.recurrent import Recurrent
from medcode.models.inputs import ModelInputs
from medcode.models.ram_base import RecalibratedModel


class BiGruLabelAttention(RecalibratedModel):
    """BiGRU with label attention (Sun et al. 2021, "Multitask Recalibrated Aggregation Network for Medical Code
    Prediction"; the authors' code, class RNNmodel).

        h = BiGRU(dropout(x))
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: hidden width of each direction, bidirectional, and RAM (`RecalibratedConfig`).

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: padding is not read, and is masked in the attention; `match_released_code` does neither, as the authors'
        code. The command in the authors' readme is not bidirectional, but the published results need both directions.
    """

    paper = "Sun et al. 2021"
    Config = BiGruLabelAttentionConfig

    def __init__(self, config: BiGruLabelAttentionConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.recurrent = Recurrent("gru", self.embedding_size, config.hidden, bidirectional=config.bidirectional)
        self.make_heads(self.recurrent.features)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features, _ = self.recurrent(self.embedding(tokens), lengths if self.config.masked else None)  # [B, N, D]
        return features, self.real_positions(lengths, tokens.shape[1])
