"""MT-RAM: a BiGRU and RAM shared by codes and their CCS categories, and label attention for each."""

from __future__ import annotations

from medcode.config.models.mt_ram import MtRamConfig
from medcode.models.bigru_label_attention import BiGruLabelAttention


class MtRam(BiGruLabelAttention):
    """MT-RAM (Sun et al. 2021, "Multitask Recalibrated Aggregation Network for Medical Code Prediction"; the authors'
    code).

        h = BiGRU(dropout(x)),   h' = RAM(h) = dropout(tanh(o * h)) with o of convolutions over h
        for codes and for categories: a_y = softmax_n(u_y . h'_n),   logit_y = w_y . (sum_n a_yn h'_n) + b_y

    The loss is 0.7 times that of the codes plus 0.3 times that of the categories, as the recipe sets it
    (`loss_weights`). The model is `bigru_label_attention` with two heads and RAM: the paper's ablations are options of
    that model, of `caml` and of `multirescnn`.

    Args: see `BiGruLabelAttention`; config: ram, ram_combine, ram_position.

    Shapes: int [B, N], int [B] -> {head: [B, Y]}; attention {head: [B, Y, N]}.

    Departures: padding is zero before every convolution of RAM and is masked in its batch normalization;
        `match_released_code` does neither, as the authors' code. The commands in the authors' readme enable neither RAM
        nor the second direction, but the published results need both. The classifier is that of the code, a product of
        two vectors for each label, where equation 11 has a matrix and pooling.
    """

    paper = "Sun et al. 2021"
    Config = MtRamConfig
