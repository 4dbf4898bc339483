"""Loss, optimiser and learning rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medcode.config import Recipe


def binary_cross_entropy(logits: dict[str, Tensor], gold: dict[str, Tensor]) -> Tensor:
    """Mean binary cross entropy of each document over its labels, summed over heads.

    Source: MT-RAM, equation 12, as all authors' code computes it: a mean over labels, where the papers write a sum.

    Args:
        logits: {head: [B, Y]}.
        gold: {head: 0 or 1, [B, Y]}.

    Shapes: -> fp32 [B].
    """
    loss = nn.functional.binary_cross_entropy_with_logits
    return sum(loss(logits[head].float(), gold[head], reduction="none").mean(1) for head in logits)


def make_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW over the trainable parameters."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(trainable, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step, a pure function, so that nothing of it needs saving.

    Rises in a line over `warmup_steps`; then stays (`constant`) or falls in a line to zero at the last step (`linear`).

    Args:
        recipe: peak rate, schedule and warm-up.
        step: counted from 0.
        steps: of the whole training.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * max(0.0, (steps - step) / max(1, steps - recipe.warmup_steps))
