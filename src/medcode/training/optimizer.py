"""The optimizer: its parameter groups, and the learning rate of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from medcode.config import Recipe


def make_optimizer(
    model: nn.Module,
    recipe: Recipe,
    layer_depths: Mapping[str, int] = MappingProxyType({}),
    *,
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """Adam, AdamW or RAdam over the trainable parameters, one group for each `scale` of the learning rate.

    The first group has scale 1. The top layer of a pretrained encoder has the scale
    `encoder_learning_rate / learning_rate`, and every layer below it `layer_decay` times that of the one above.

    Source: Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?", on layer-wise decreasing rates.

    Args:
        model: the network.
        recipe: optimizer, rates, decays and epsilon.
        layer_depths: how many layers of an encoder lie above each of its parameters, by name.
        capturable: whether a CUDA graph replays its steps, so that the learning rate must be a tensor on the device.
    """
    top = (recipe.encoder_learning_rate or recipe.learning_rate) / recipe.learning_rate
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = top * recipe.layer_decay ** layer_depths[name] if name in layer_depths else 1.0
            groups.setdefault(scale, []).append(parameter)
    param_groups = [
        {"params": parameters, "scale": scale} for scale, parameters in groups.items() if parameters or scale == 1.0
    ]
    settings = {"lr": recipe.learning_rate, "eps": recipe.adam_epsilon, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "radam":  # torch has no fused one
        optimizer = torch.optim.RAdam(param_groups, **settings, capturable=capturable)
    else:  # fused: one pass over a parameter and its moments instead of one for each operation
        optimizer_cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        optimizer = optimizer_cls(param_groups, **settings, fused=True, capturable=capturable)
    if capturable:
        put_lr_on_device(optimizer)
    return optimizer


def put_lr_on_device(optimizer: torch.optim.Optimizer) -> None:
    """Make the learning rate of each group a tensor on the device of its parameters, which `set_lr` then fills."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)


def set_lr(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group, times the group's scale."""
    for group in optimizer.param_groups:
        scaled = rate * group["scale"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(scaled)
        else:
            group["lr"] = scaled
