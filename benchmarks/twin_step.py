"""The training step of a plain twin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from twins import Twin

from medcode.config import Recipe


class TwinStep:
    """A training step as the authors' loops have it: forward, loss, backward, clipping, torch's optimizer as it is.

    Args:
        twin: the model.
        recipe: loss, optimizer and clipping.
        weights: of the heads' losses; None gives each weight 1.
    """

    def __init__(self, twin: Twin, recipe: Recipe, weights: dict[str, float] | None) -> None:
        self.twin, self.recipe, self.weights = twin.train(), recipe, weights
        optimizer_cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        trained = [parameter for parameter in twin.parameters() if parameter.requires_grad]
        settings = {"lr": recipe.learning_rate, "eps": recipe.adam_epsilon, "weight_decay": recipe.weight_decay}
        self.optimizer = optimizer_cls(trained, **settings)

    def __call__(self, tokens: Tensor, lengths: Tensor, gold: dict[str, Tensor]) -> float:
        """Update the weights with a batch, and return its loss: int [B, N], int [B], {head: [B, Y]}."""
        self.optimizer.zero_grad()
        logits = self.twin(tokens, lengths)
        weights = self.weights if self.weights and len(logits) > 1 else dict.fromkeys(logits, 1.0)
        loss = sum(weights[head] * self.head_loss(scores, gold[head]) for head, scores in logits.items())
        loss = loss + self.twin.penalty(gold)
        loss.backward()
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.twin.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return loss.item()

    def head_loss(self, logits: Tensor, gold: Tensor) -> Tensor:
        """Return the mean loss of a head: [B, Y], [B, Y] -> scalar."""
        smoothing = self.recipe.label_smoothing
        if smoothing:
            gold = gold * (1 - smoothing) + smoothing / gold.shape[1]
        if self.recipe.loss == "bce":
            return nn.BCEWithLogitsLoss()(logits, gold)
        if self.recipe.loss != "focal":
            raise NotImplementedError(f"loss {self.recipe.loss}: the plain twin has bce and focal")
        losses = nn.BCEWithLogitsLoss(reduction="none")(logits, gold)
        right = torch.exp(-losses)  # the probability of the true class
        return (self.recipe.focal_alpha * (1 - right) ** self.recipe.focal_gamma * losses).mean()
