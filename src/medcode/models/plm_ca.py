"""PLM-CA: a note in chunks through a pretrained encoder, and cross attention of labels over all subwords."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medcode.config.models.plm_ca import PlmCaConfig
from medcode.layers.chunks import cut_through, join
from medcode.layers.cross_attention import CrossLabelAttention
from medcode.models.base import LabelAttentionHeads
from medcode.models.encoder_base import EncoderModel
from medcode.models.inputs import ModelInputs

TITLE_POSITIONS = 32  # of a title, special tokens included; in the code of GKI-ICD also its padding
TITLES_AT_A_TIME = 64


class PlmCa(LabelAttentionHeads, EncoderModel):
    """PLM-CA (Edin et al. 2024, "An Unsupervised Approach to Achieve Supervised-Level Explainability in Healthcare
    Records"; the authors' code).

        h = states of the encoder over each chunk of <s> x </s>, concatenated
        a_y = softmax_n(q_y . K h_n),   m_y = LayerNorm(sum_n a_yn (V h_n + v)),   logit_y = w . m_y + b

    Args: see `EncoderModel`; config: chunk, number of positions of a chunk; output, one w and b for all labels
        (shared) or w_y and b_y (per_label, as Zhang et al. 2025); queries, random or titles: q_y, and w_y where a label
        has one, begin as the maximum over the encoder's states of the title of y;
        inputs: `titles`, needed only for training.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N + 2]}, the special tokens included.

    Departures: padding is masked everywhere. `match_released_code` pads every note to whole chunks, to one more where
        the longest note of the batch fills them, and does not mask this padding in the label attention: the authors'
        code passes a mask, but -inf written into a mask of truth values becomes true, so that it masks nothing. In a
        chunk of nothing but padding their code averages over the padding, where this attends to it; for RoBERTa, whose
        padding has no position, that is the same. Losses of their supervised variants are left out; `span_weight` of a
        recipe is close to one of them. A label without a title keeps a random query.
    """

    paper = "Edin et al. 2024"
    Config = PlmCaConfig

    def __init__(self, config: PlmCaConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        shared = config.output == "shared"
        self.attention = nn.ModuleDict(
            {head: CrossLabelAttention(self.width, labels, shared_output=shared) for head, labels in self.heads.items()}
        )
        self._titles: dict[str, list[np.ndarray]] = {}
        if config.queries == "titles" and inputs.titles is not None and inputs.tokenize is not None:
            self._titles = {head: inputs.tokenize(titles) for head, titles in inputs.titles.items()}

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        size, specials = self.config.chunk, self.outline.specials
        if self.config.masked:
            chunks = cut_through(tokens, lengths, size, specials)
            return join(self.run(chunks, chunks.real)[chunks.real], lengths + 2, tokens.shape[1] + 2)
        if (tokens.shape[1] + 2) % size == 0:
            tokens = nn.functional.pad(tokens, (0, 1))  # the authors' code adds a chunk of padding
        chunks = cut_through(tokens, lengths, size, specials, padded=True)
        mask = chunks.real | ~chunks.real.any(1, keepdim=True)
        return self.run(chunks, mask).reshape(len(tokens), -1, self.width), None

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`; <s> is before the first token."""
        return nn.functional.pad(marked, (1, positions - marked.shape[-1] - 1))

    @torch.no_grad()
    def before_training(self) -> None:
        """See `Model`; initializes queries, and output vectors of labels, from titles."""
        training = self.training
        self.eval()
        for head, titles in self._titles.items():
            attention = self.attention[head]
            titled = [number for number, ids in enumerate(titles) if len(ids)]
            for start in range(0, len(titled), TITLES_AT_A_TIME):
                numbers = titled[start : start + TITLES_AT_A_TIME]
                vectors = self._title_vectors([titles[number] for number in numbers])
                attention.queries.weight[numbers] = vectors
                if self.config.output == "per_label":
                    attention.output.weight[numbers] = vectors
        self.train(training)

    def _title_vectors(self, titles: list[np.ndarray]) -> Tensor:
        """Return the maximum over the states of each title, [n, D]."""
        device, room = next(self.parameters()).device, TITLE_POSITIONS - 2
        ids = [torch.from_numpy(title[:room].astype(np.int64)) for title in titles]
        tokens = pad_sequence(ids, batch_first=True).to(device)
        if not self.config.masked:  # their padding takes part
            tokens = nn.functional.pad(tokens, (0, room - tokens.shape[1]))
        lengths = torch.tensor([len(title) for title in ids], device=device)
        chunks = cut_through(tokens, lengths, TITLE_POSITIONS, self.outline.specials)
        states = self.run(chunks, chunks.real)
        if self.config.masked:
            states = states.masked_fill(~chunks.real.unsqueeze(2), -torch.inf)
        return states.amax(1)
