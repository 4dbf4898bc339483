"""BERT-trun: the first chunk of a note through a pretrained encoder."""

from __future__ import annotations

from torch import Tensor, nn

from medcode.config.models.bert_trun import BertTrunConfig
from medcode.layers.chunks import cut_apart
from medcode.models.encoder_base import StudyModel


class BertTrun(StudyModel):
    """BERT-trun (Ji et al. 2021, "Does the Magic of BERT Apply to Medical Code Assignment? A Quantitative Study",
    sections 3.2 and 3.3).

        h = encoder([CLS] x [SEP])
        fcn:              logit_y = w_y . dropout(h_0) + b_y
        label attention:  a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `EncoderModel`; config: head fcn or label_attention; chunk, number of positions that are read, [CLS] and
        [SEP] included; the rest of the note is truncated.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, min(N + 2, chunk)]}.

    Departures: padding is masked in the label attention, where the published formula has no mask;
        `match_released_code` does not mask it. The authors' code is no longer available.
    """

    paper = "Ji et al. 2021"
    Config = BertTrunConfig
    pooling = "first"

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        room = self.config.chunk - 2
        first = cut_apart(tokens[:, :room], lengths.clamp(max=room), self.config.chunk, self.outline.specials)
        return self.run(first, first.real), first.real if self.config.masked else None

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; [CLS] is before the first token, and tokens behind the chunk have no position."""
        read = marked[..., : self.config.chunk - 2]
        return nn.functional.pad(read, (1, positions - read.shape[-1] - 1))
