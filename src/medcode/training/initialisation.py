"""What a model is told of its labels before training: options of a recipe, for corpora with few documents."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medcode.config import Recipe
from medcode.errors import UserError
from medcode.inputs import Inputs
from medcode.models.base import Model
from medcode.training.titles import Titles, start_from_titles


def initialise(model: Model, recipe: Recipe, data: Inputs, titles: Titles) -> None:
    """Changes the model's initial weights as `label_vectors` and `label_biases` of the recipe say, in place.

    Args:
        model: on its device, as its class draws it.
        recipe: the two options.
        data: with the training split.
        titles: of the labels; read where label vectors start from them.

    Raises:
        UserError: the model does not have what would be changed.
    """
    if recipe.label_vectors == "titles":
        start_from_titles(model, titles)
    if recipe.label_biases == "log_odds":
        for head in model.heads:
            documents = int(data.splits["train"].has[head].sum())
            start_from_frequencies(model, head, data.train_counts(head), documents)


def start_from_frequencies(model: Model, head: str, counts: np.ndarray, documents: int) -> None:
    """Sets each output bias to the log odds of its label among the training documents, log (n + 1/2) / (N - n + 1/2).

    Args:
        counts: n of each label, [Y].
        documents: N.

    Raises:
        UserError: the model has no output bias of each label.
    """
    n = torch.from_numpy(counts).double()
    with torch.no_grad():
        _output_bias(model, head).copy_(torch.log((n + 0.5) / (documents - n + 0.5)))


def _output_bias(model: Model, head: str) -> Tensor:
    attention, output = getattr(model, "attention", None), getattr(model, "output", None)
    layer = output[head] if output is not None else getattr(attention[head], "output", None) if attention else None
    if layer is None:
        raise UserError(
            f"recipe: label_biases: log_odds is for models whose logits have a bias for each label, which "
            f"{type(model).__name__} has not; set label_biases: drawn"
        )
    return layer.bias
