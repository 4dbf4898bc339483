"""MARN: MT-RAM trained with a focal loss, which gives well-classified codes less weight."""

from __future__ import annotations

from medcode.config.models.marn import MarnConfig
from medcode.models.bigru_label_attention import BiGruLabelAttention


class Marn(BiGruLabelAttention):
    """MARN (Sun et al. 2021, "Multitask Balanced and Recalibrated Network for Medical Code Prediction",
    arXiv:2109.02418; the authors' code).

        logits as MT-RAM's
        loss of a label = alpha (1 - p)^gamma (-log p) with p the predicted probability of the true class

    The recipe sets the loss (`loss: focal`, alpha 0.999 for both classes, gamma 2) and the weights of codes and
    categories. Probabilities stay nearer to 0.5 than with cross entropy: also read the metrics at the tuned threshold.

    Args: see `BiGruLabelAttention`; config: ram, ram_combine, ram_position.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: as MT-RAM.
    """

    paper = "Sun et al. 2021 (MARN)"
    Config = MarnConfig
