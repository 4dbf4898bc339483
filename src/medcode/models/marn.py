"""MARN: MT-RAM trained on a focal loss, which lets codes that are already known weigh less."""

from __future__ import annotations

from medcode.config.models.marn import MarnConfig
from medcode.models.bigru_label_attention import BiGruLabelAttention


class Marn(BiGruLabelAttention):
    """MARN (Sun et al. 2021, "Multitask Balanced and Recalibrated Network for Medical Code Prediction",
    arXiv:2109.02418; the authors' code).

        logits as MT-RAM's
        loss of a label = alpha (1 - p)^gamma (-log p) with p the probability given to what is true

    The loss is the recipe's (`loss: focal`, alpha 0.999 for both classes, gamma 2), and so are the weights of codes and
    categories. It keeps probabilities nearer to 0.5 than cross entropy does: look at the tuned threshold too.

    Args: see `BiGruLabelAttention`; config: ram, ram_combine, ram_position.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: as MT-RAM.
    """

    paper = "Sun et al. 2021 (MARN)"
    Config = MarnConfig
