"""PLM-ICD: a note in chunks through a pretrained encoder, and LAAT's label attention over all subwords."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.config.models.plm_icd import PlmIcdConfig
from medcode.layers.chunks import cut_through, join
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.base import LabelAttentionHeads
from medcode.models.encoder_base import EncoderModel
from medcode.models.inputs import ModelInputs

ORIGINAL_STD = 0.02  # of the label attention's initial weights: RoBERTa's initializer, which the authors' code calls


class PlmIcd(LabelAttentionHeads, EncoderModel):
    """PLM-ICD (Huang et al. 2022, "PLM-ICD: Automatic ICD Coding with Pretrained Language Models"; the authors' code,
    and that of Edin et al. 2023).

        h = states of the encoder over each chunk of <s> x </s>, concatenated
        a_y = softmax_n(u_y . tanh(W h_n)),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `EncoderModel`; config: chunk, number of positions of a chunk; variant: initial weights of the label
        attention, N(0, 0.02) and b = 0 for `original`, N(0, 0.03) and torch's b for `edin`. W is square.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N + 2]}, the special tokens included.

    Departures: padding is masked everywhere. `match_released_code` pads every note to whole chunks, as many as the
        longest note of the batch has, and does not mask this padding in the label attention, as the authors' code; with
        `edin` it does not mask it in the encoder either, as that code. In a chunk of nothing but padding the authors'
        code averages over the padding, where this attends to it; for RoBERTa, whose padding has no position, that is
        the same.
    """

    paper = "Huang et al. 2022"
    Config = PlmIcdConfig

    def __init__(self, config: PlmIcdConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.attention = nn.ModuleDict(
            {head: ProjectedLabelAttention(self.width, self.width, labels) for head, labels in inputs.heads.items()}
        )
        if config.variant == "original":
            for attention in self.attention.values():
                for layer in (attention.projection, attention.queries, attention.output):
                    nn.init.normal_(layer.weight, std=ORIGINAL_STD)
                nn.init.zeros_(attention.output.bias)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        size, specials, masked = self.config.chunk, self.outline.specials, self.config.masked
        chunks = cut_through(tokens, lengths, size, specials, padded=not masked)
        if masked:
            return join(self.run(chunks, chunks.real)[chunks.real], lengths + 2, tokens.shape[1] + 2)
        mask = None if self.config.variant == "edin" else chunks.real | ~chunks.real.any(1, keepdim=True)
        return self.run(chunks, mask).reshape(len(tokens), -1, self.width), None

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; <s> is before the first token."""
        return nn.functional.pad(marked, (1, positions - marked.shape[-1] - 1))
