"""The losses of documents, and those of a training step on their way from the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from medcode.config import Recipe
from medcode.errors import UserError
from medcode.training import optimisation
from medcode.training.transfer import Arrival


def by_document(
    logits: dict[str, Tensor],
    gold: dict[str, Tensor],
    coded: dict[str, Tensor],
    recipe: Recipe,
    weights: dict[str, float] | None,
    name: str,
) -> dict[str, Tensor]:
    """The loss of each document, and that of each head where there are several.

    Args:
        logits, gold, coded, recipe: as for `optimisation.head_losses`.
        weights: of the heads, as for `optimisation.weigh`.
        name: of the loss.

    Shapes: -> {name or name_<head>: [B]}.
    """
    losses = optimisation.head_losses(logits, gold, recipe, coded)
    whole = optimisation.weigh(losses, weights)
    return {name: whole} | ({f"{name}_{head}": own for head, own in losses.items()} if len(losses) > 1 else {})


@dataclass(frozen=True)
class StepLosses:
    """The mean losses of a step, `train_loss` among them, to be read once the next step is under way: so no GPU waits.

    `step` is counted from 1; `documents` are the admissions of the batch.
    """

    names: tuple[str, ...]
    values: Arrival
    step: int
    rate: float
    documents: Sequence[str]

    def read(self) -> dict[str, float]:
        """The losses by name.

        Raises:
            UserError: the loss is not finite; says of which step.
        """
        values = dict(zip(self.names, self.values.read().tolist(), strict=True))
        if not math.isfinite(value := values["train_loss"]):
            raise UserError(
                f"training: the loss is {value} at step {self.step} with learning rate {self.rate:g}, "
                f"admissions {', '.join(self.documents)}; a lower learning_rate or a clip_norm in the recipe may help"
            )
        return values
