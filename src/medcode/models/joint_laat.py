"""JointLAAT: LAAT in two levels, where the predicted categories are an input of the codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config.models.joint_laat import FIRST_LEVEL, JointLaatConfig
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.layers.recurrent import Recurrent
from medcode.models.base import LabelAttentionModel
from medcode.models.inputs import ModelInputs


class JointLaat(LabelAttentionModel):
    """JointLAAT (Vu et al. 2020, "A Label Attention Model for ICD Coding from Clinical Text", section 3.5; the authors'
    code).

        h = BiLSTM(dropout(x)),   m_y = sum_n softmax_n(u_y . tanh(W h_n)) h_n with a W for each level
        categories: logit_c = w_c . m_c + b_c
        codes:      logit_y = w_y . [m_y; s] + b_y with s = sigmoid(P sigmoid(logits of the categories))

    The losses of the levels are weighted by their numbers of labels.

    Args: see `WordModel`; config: rnn, hidden width of each direction, projection (rows of W), level_projection (size
        of s). The head `category` is the first level, every other head a second level. Without `category` this is LAAT.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: as LAAT.
    """

    paper = "Vu et al. 2020"
    Config = JointLaatConfig

    def __init__(self, config: JointLaatConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.recurrent = Recurrent(config.rnn, self.embedding_size, config.hidden, bidirectional=True)
        heads, features = inputs.heads, self.recurrent.features
        joint = FIRST_LEVEL in heads
        extra = {head: config.level_projection if joint and head != FIRST_LEVEL else 0 for head in heads}
        self.attention = nn.ModuleDict(
            {
                head: ProjectedLabelAttention(features, config.projection, labels, extra[head])
                for head, labels in heads.items()
            }
        )
        if joint:
            self.level_projection = nn.Linear(heads[FIRST_LEVEL], config.level_projection, bias=False)
        self.loss_weights = {head: labels / sum(heads.values()) for head, labels in heads.items()}

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features, _ = self.recurrent(self.embedding(tokens), lengths)  # [B, N, D]
        return features, self.real_positions(lengths, tokens.shape[1])

    def logits(self, features: Tensor, real: Tensor | None) -> dict[str, Tensor]:
        """See `LabelAttentionHeads`."""
        logits, above = {}, None
        if FIRST_LEVEL in self.heads:
            logits[FIRST_LEVEL] = self.attention[FIRST_LEVEL](features, real)
            above = torch.sigmoid(self.level_projection(torch.sigmoid(logits[FIRST_LEVEL])))
        for head in self.heads:
            if head != FIRST_LEVEL:
                logits[head] = self.attention[head](features, real, above)
        return {head: logits[head] for head in self.heads}
