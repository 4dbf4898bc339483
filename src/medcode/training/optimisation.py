"""Loss, optimiser and learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from medcode.config import Recipe

# ReduceLROnPlateau as LAAT's authors set it, with torch's threshold for what counts as better.
PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_MINIMUM, PLATEAU_THRESHOLD = 0.9, 5, 1e-4, 1e-4


def head_losses(
    logits: dict[str, Tensor], gold: dict[str, Tensor], recipe: Recipe, coded: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Loss of each document in each head, a mean over the head's labels.

    Binary cross entropy: MT-RAM, equation 12, as all authors' code computes it: a mean, where the papers write a sum.
    Focal loss: MARN's code, alpha (1 - p)^gamma times the cross entropy, with p the probability given to what is true
    and one alpha for both classes. Label smoothing a: DCAN's code, y (1 - a) + a / Y.

    Args:
        logits: {head: [B, Y]}.
        gold: {head: 0 or 1, [B, Y]}.
        recipe: loss, focal_alpha, focal_gamma, label_smoothing.
        coded: whether each document was coded in a head's system at all, {head: bool [B]}; where it was not, the head
            says nothing of it and its loss is 0 (JAMS, equation 3). None where all were.

    Shapes: -> {head: fp32 [B]}.
    """
    losses = {}
    for head, scores in logits.items():
        smoothing = recipe.label_smoothing
        wanted = gold[head] * (1 - smoothing) + smoothing / scores.shape[1] if smoothing else gold[head]
        each = nn.functional.binary_cross_entropy_with_logits(scores.float(), wanted, reduction="none")
        if recipe.loss == "focal":
            # 1 - p is the sigmoid of the logit with its sign turned where the label holds.
            missed = nn.functional.logsigmoid(scores.float() * (1 - 2 * gold[head]))
            each = recipe.focal_alpha * torch.exp(recipe.focal_gamma * missed) * each
        own = each.mean(1)
        losses[head] = own if coded is None else own * coded[head]
    return losses


def weigh(losses: dict[str, Tensor], weights: dict[str, float] | None) -> Tensor:
    """Sum of the heads' losses; None weighs each 1.

    A head alone has weight 1: its weight says how it stands beside others (MT-RAM, equation 13).

    Shapes: {head: [B]} -> [B].
    """
    if weights is None or len(losses) == 1:
        return sum(losses.values())
    return sum(weights[head] * own for head, own in losses.items())


def make_optimiser(
    model: nn.Module,
    recipe: Recipe,
    layers_above: Mapping[str, int] = MappingProxyType({}),
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
        layers_above: how many layers of an encoder lie above each of its parameters, by name.
        recorded: whether its steps are recorded, so that the device must find the learning rate in a tensor.
    """
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    top = (recipe.encoder_learning_rate or recipe.learning_rate) / recipe.learning_rate
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = top * recipe.layer_decay ** layers_above[name] if name in layers_above else 1.0
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


def learning_rate(recipe: Recipe, step: int, steps: int, history: Sequence[float] = ()) -> float:
    """Learning rate of a step, a pure function, so that nothing of it needs saving.

    Rises in a line over `warmup_steps`, or that share of all steps that `warmup_share` says; then stays (`constant`),
    falls in a line to zero at the last step (`linear`), or is multiplied by 0.9 whenever more than 5 epochs have passed
    without a better criterion, down to 1e-4 (`plateau`, LAAT).

    Args:
        recipe: peak rate, schedule and warm-up.
        step: counted from 0.
        steps: of the whole training.
        history: the criterion after each epoch so far.
    """
    warmup = recipe.warmup_steps or round(recipe.warmup_share * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "linear":
        return recipe.learning_rate * max(0.0, (steps - step) / max(1, steps - warmup))
    if recipe.schedule == "plateau":
        return _after_plateaus(recipe.learning_rate, history, lowest=recipe.criterion == "loss")
    return recipe.learning_rate


def _after_plateaus(rate: float, history: Sequence[float], *, lowest: bool) -> float:
    best, waited = math.inf if lowest else -math.inf, 0
    for value in history:
        better = value < best * (1 - PLATEAU_THRESHOLD) if lowest else value > best * (1 + PLATEAU_THRESHOLD)
        best, waited = (value, 0) if better else (best, waited + 1)
        if waited > PLATEAU_PATIENCE:
            rate, waited = min(rate, max(rate * PLATEAU_FACTOR, PLATEAU_MINIMUM)), 0
    return rate
