"""CAML: one convolution, and label attention over its features."""

from __future__ import annotations

from torch import Tensor

from medcode.config.models.caml import CamlConfig
from medcode.layers.tanh_convolution import TanhConvolution
from medcode.models.inputs import ModelInputs
from medcode.models.ram_base import RecalibratedModel


class Caml(RecalibratedModel):
    """CAML (Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text"; the authors' code).

        h = tanh(conv(dropout(x)))
        a_y = softmax_n(u_y . h_n),   logit_y = w_y . (sum_n a_yn h_n) + b_y

    Args: see `WordModel`; config: filters D, kernel K, and RAM (`RecalibratedConfig`).

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, P]} with P = N + 2 floor(K/2) - K + 1, one
        more than N for an even kernel. Position p reads the words from p - floor(K/2) on.

    Departures: padding is masked in the attention; `match_released_code` does not mask it, as the authors' code.
    """

    paper = "Mullenbach et al. 2018"
    Config = CamlConfig

    def __init__(self, config: CamlConfig, inputs: ModelInputs) -> None:
        super().__init__(config, inputs)
        self.convolution = TanhConvolution(self.embedding_size, config.filters, config.kernel)
        self.make_heads(config.filters)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.convolution(self.embedding(tokens).transpose(1, 2)).transpose(1, 2)  # [B, P, D]
        return features, self.real_positions(lengths + self.convolution.extra, features.shape[1])

    def marked_positions(self, marked: Tensor, positions: int) -> Tensor:
        """See `Model`."""
        return self.convolution.windows_around(marked)
