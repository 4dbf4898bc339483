"""The optimizer: parameter groups, and where the learning rate of each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from medcode.config import Recipe


def make_optimiser(
    model: nn.Module,
    recipe: Recipe,
    layer_depths: Mapping[str, int] = MappingProxyType({}),
    *,
    recorded: bool = False,
) -> torch.optim.Optimizer:
    """Adam or AdamW over the trainable parameters, in one group for each `scale` of the learning rate.

    The first group has scale 1. The top layer of a pretrained encoder has the scale
    `encoder_learning_rate / learning_rate`, and every layer below it `layer_decay` times that of the one above.

    Source: Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?", on layer-wise decreasing rates.

    Args:
        model: the network.
        recipe: optimiser, rates and decays.
        layer_depths: how many layers of an encoder lie above each of its parameters, by name.
        recorded: whether its steps are recorded, so that the device must find the learning rate in a tensor.
    """
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    top = (recipe.encoder_learning_rate or recipe.learning_rate) / recipe.learning_rate
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = top * recipe.layer_decay ** layer_depths[name] if name in layer_depths else 1.0
            groups.setdefault(scale, []).append(parameter)
    listed = [{"params": own, "scale": scale} for scale, own in groups.items() if own or scale == 1.0]
    # Fused: one pass over a parameter and its moments instead of one for each operation.
    optimiser = kind(listed, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, capturable=recorded)
    if recorded:
        put_rates_on_device(optimiser)
    return optimiser


def put_rates_on_device(optimiser: torch.optim.Optimizer) -> None:
    """Makes the learning rate of each group a tensor beside its parameters; `set_learning_rate` then writes there."""
    for group in optimiser.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group of parameters its part of a learning rate."""
    for group in optimiser.param_groups:
        own = rate * group["scale"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own
