"""Losses of documents under each head, and the mean losses of a step, which are read from the device one step late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medcode.config import Recipe
from medcode.engine.transfer import AsyncHostCopy
from medcode.errors import UserError

SMALLEST = 1e-8  # probability of which the asymmetric loss takes the logarithm


def head_losses(
    logits: dict[str, Tensor], gold: dict[str, Tensor], recipe: Recipe, is_coded: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the loss of each document in each head, a mean over the head's labels; the asymmetric loss is their sum.

    Binary cross entropy: MT-RAM, equation 12. All authors' code computes a mean, where the papers write a sum.
    Focal loss: MARN's code, alpha (1 - p)^gamma times the cross entropy. p is the probability of the true class, and
    alpha is the same for both classes. Asymmetric loss: `asymmetric_losses`. Label smoothing a: DCAN's code,
    y (1 - a) + a / Y.

    Args:
        logits: {head: [B, Y]}.
        gold: {head: 0 or 1, [B, Y]}.
        recipe: loss, its settings, and label_smoothing.
        is_coded: whether each document was coded in a head's system at all, {head: bool [B]}. If it was not, its loss
            in the head is 0 (JAMS, equation 3). None if all were.

    Shapes: -> {head: fp32 [B]}.
    """
    losses = {}
    for head, scores in logits.items():
        smoothing = recipe.label_smoothing
        targets = gold[head] * (1 - smoothing) + smoothing / scores.shape[1] if smoothing else gold[head]
        if recipe.loss == "asymmetric":
            document_loss = asymmetric_losses(scores.float(), gold[head], targets, recipe).sum(1)
        else:
            label_losses = nn.functional.binary_cross_entropy_with_logits(scores.float(), targets, reduction="none")
            if recipe.loss == "focal":
                # 1 - p is the sigmoid of the logit, with its sign turned where the label is gold.
                log_error = nn.functional.logsigmoid(scores.float() * (1 - 2 * gold[head]))
                label_losses = recipe.focal_alpha * torch.exp(recipe.focal_gamma * log_error) * label_losses
            document_loss = label_losses.mean(1)
        losses[head] = document_loss if is_coded is None else document_loss * is_coded[head]
    return losses


def asymmetric_losses(logits: Tensor, gold: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    """Return the asymmetric loss of each label, fp32 [B, Y].

        q = min(1 - p + clip, 1)
        -(y log p + (1 - y) log q) (1 - t)^gamma,   t = p where y is gold, else q

    gamma is one number for gold labels and another for the others. No gradient flows through its factor. A label that
    is not gold has no loss once its probability p is below the clip.

    Source: Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", in the form of HiCu's code (Ren et al.
    2022).

    Args:
        logits: fp32 [B, Y].
        gold: 0 or 1, [B, Y].
        targets: y, which are gold but for label smoothing, [B, Y].
        recipe: asymmetric_gamma_negative, asymmetric_gamma_positive, asymmetric_clip.
    """
    p = torch.sigmoid(logits)
    q = (1 - p + recipe.asymmetric_clip).clamp(max=1)
    log_likelihood = targets * p.clamp(min=SMALLEST).log() + (1 - targets) * q.clamp(min=SMALLEST).log()
    gamma = recipe.asymmetric_gamma_positive * gold + recipe.asymmetric_gamma_negative * (1 - gold)
    factor = (1 - p * gold - q * (1 - gold)).detach() ** gamma
    return -factor * log_likelihood


def weigh(losses: dict[str, Tensor], weights: dict[str, float] | None) -> Tensor:
    """Return the weighted sum of the heads' losses. None gives each weight 1.

    A single head has weight 1, because weights are relative to the other heads (MT-RAM, equation 13).

    Shapes: {head: [B]} -> [B].
    """
    if weights is None or len(losses) == 1:
        return sum(losses.values())
    return sum(weights[head] * head_loss for head, head_loss in losses.items())


def document_losses(
    logits: dict[str, Tensor],
    gold: dict[str, Tensor],
    is_coded: dict[str, Tensor],
    recipe: Recipe,
    weights: dict[str, float] | None,
    name: str,
) -> dict[str, Tensor]:
    """Compute the loss of each document, [B], and with several heads also its loss in each.

    Args:
        logits, gold, is_coded, recipe: as for `head_losses`.
        weights: of the heads, as for `weigh`.
        name: of the loss.

    Shapes: -> {name or name_<head>: [B]}.
    """
    losses = head_losses(logits, gold, recipe, is_coded)
    by_head = {f"{name}_{head}": head_loss for head, head_loss in losses.items()} if len(losses) > 1 else {}
    return {name: weigh(losses, weights)} | by_head


@dataclass(frozen=True)
class StepLosses:
    """The mean losses of a step, `train_loss` among them, while they are copied from the device.

    `step` is counted from 1. `admissions` are those of the batch.
    """

    names: tuple[str, ...]
    values: AsyncHostCopy
    step: int
    lr: float
    admissions: Sequence[str]

    def read(self) -> dict[str, float]:
        """Wait for the losses, and return them by name.

        Raises:
            UserError: the loss is not finite; the message names the step.
        """
        values = dict(zip(self.names, self.values.read().tolist(), strict=True))
        if not math.isfinite(value := values["train_loss"]):
            raise UserError(
                f"training: the loss is {value} at step {self.step} with learning rate {self.lr:g}, "
                f"admissions {', '.join(self.admissions)}; a lower learning_rate or a clip_norm in the recipe may help"
            )
        return values


class LossMeter:
    """Sums of the losses of an epoch. Each step's losses are read after the next step has begun: no GPU waits.

    Args:
        sums: by name, changed in place.
    """

    def __init__(self, sums: dict[str, float]) -> None:
        self.sums = sums
        self.deferred: StepLosses | None = None

    def add(self, losses: StepLosses) -> None:
        """Defer the losses of a step, and add those of the step before to the sums.

        Raises:
            UserError: the loss of the step before is not finite.
        """
        previous, self.deferred = self.deferred, losses
        if previous is not None:
            for name, value in previous.read().items():
                self.sums[name] = self.sums.get(name, 0.0) + value

    def flush(self) -> None:
        """Add the losses of the last step to the sums.

        Raises:
            UserError: the loss is not finite.
        """
        last, self.deferred = self.deferred, None
        if last is not None:
            for name, value in last.read().items():
                self.sums[name] = self.sums.get(name, 0.0) + value
