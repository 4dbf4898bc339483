"""Some labels of a model alone: with thousands of labels, a note's pass takes a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medcode.models.base import LabelAttentionHeads, Model


@contextmanager
def only_labels(model: Model, head: str, labels: Tensor) -> Iterator[Tensor]:
    """Let a model compute some labels of a head alone, where its logits do not depend on each other.

    The rows of the other labels are taken out of the label attention until the end of the block. Other models stay as
    they are: those without a query for each label, those with RAM in branches, JointLAAT and JAMS.

    Args:
        model: the model.
        head: one of its heads.
        labels: indices of K labels, int [K].

    Yields:
        The indices of these labels in the logits of the head, int [K].
    """
    if not (parts := _of_each_label(model, head)):
        yield labels
        return
    whole = [(part, part.weight, part.bias, part.out_features) for part in parts]
    try:
        for part, weight, bias, _ in whole:
            part.weight = _rows(weight, labels)
            part.bias = None if bias is None else _rows(bias, labels)
            part.out_features = len(labels)
        yield torch.arange(len(labels), device=labels.device)
    finally:
        for part, weight, bias, labels_of_head in whole:
            part.weight, part.bias, part.out_features = weight, bias, labels_of_head


def _of_each_label(model: Model, head: str) -> list[nn.Linear]:
    """Return the layers with a row for each label of a head, if nothing but the head's own logits comes from them."""
    if not isinstance(model, LabelAttentionHeads):
        return []
    cls = type(model)
    if (cls.forward, cls.logits) != (LabelAttentionHeads.forward, LabelAttentionHeads.logits):
        return []  # its heads may read each other
    # Not by the classes of the layers, so that the evidence of one model does not depend on the code of another.
    parts: list[Any] = [getattr(model.attention[head], name, None) for name in ("queries", "output")]
    if not all(isinstance(part, nn.Linear) for part in parts):
        return []
    return [part for part in parts if part.out_features == model.heads[head]]  # not one output that all labels share


def _rows(parameter: Tensor, labels: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach()[labels], requires_grad=False)
