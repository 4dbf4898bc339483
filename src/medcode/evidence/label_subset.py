"""Some labels of a model alone: with thousands of labels, a note's pass takes a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from medcode.layers.label_attention import LabelAttention
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.base import LabelAttentionHeads, Model


@contextmanager
def only_labels(model: Model, head: str, labels: Tensor) -> Iterator[Tensor]:
    """Let a model compute some labels of a head alone, where its logits do not depend on each other.

    The rows of the other labels are taken out of the label attention until the end of the block. A model for which that
    is not possible stays as it is.

    Args:
        model: the model.
        head: one of its heads.
        labels: indices of K labels, int [K].

    Yields:
        The indices of these labels in the logits of the head, int [K].
    """
    layer = _attention(model, head)
    if layer is None:
        yield labels
        return
    whole = [(part, part.weight, part.bias, part.out_features) for part in (layer.queries, layer.output)]
    try:
        for part, weight, bias, _ in whole:
            part.weight = _rows(weight, labels)
            part.bias = None if bias is None else _rows(bias, labels)
            part.out_features = len(labels)
        yield torch.arange(len(labels), device=labels.device)
    finally:
        for part, weight, bias, labels_of_head in whole:
            part.weight, part.bias, part.out_features = weight, bias, labels_of_head


def _attention(model: Model, head: str) -> LabelAttention | ProjectedLabelAttention | None:
    """Return the label attention of a head, if nothing but the head's own logits is computed from it."""
    if not isinstance(model, LabelAttentionHeads) or type(model).forward is not LabelAttentionHeads.forward:
        return None  # its heads may read each other
    layer = model.attention[head]
    return layer if type(layer) in (LabelAttention, ProjectedLabelAttention) else None


def _rows(parameter: nn.Parameter, labels: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach()[labels], requires_grad=False)
