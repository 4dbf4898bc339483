"""What a training starts from: its documents, and the model with its initial weights."""

from __future__ import annotations

from pathlib import Path

import torch

from medcode.dataset import arrays
from medcode.encoders import folder
from medcode.layers.medical_code_attention import Edges
from medcode.models.base import Basis, Model, ModelConfig


def read(
    kind: type[Model], config: ModelConfig, paths: dict[str, Path], *, titles: bool = False
) -> tuple[arrays.Inputs, Basis, str | None]:
    """Reads the splits train and dev, and what the model is built on.

    Args:
        kind: the model's class.
        config: its options.
        paths: inputs; and subword, encoder and pretrained for a model on word pieces.
        titles: whether training reads titles, whatever the model; one on word pieces needs no words of them.

    Returns:
        Documents and labels; word vectors or encoder; and the encoder's tokenizer.json, None for a model on words.
    """
    needs = {"descriptions": kind.needs_descriptions or titles, "edges": kind.needs_edges}
    if not config.uses_subwords:
        data = arrays.load(paths["inputs"], ("train", "dev"), **needs)
        return data, Basis(len(data.vectors), torch.from_numpy(data.vectors)), None
    source = folder.further(paths["encoder"], paths["pretrained"])
    basis, tokenizer = Basis(encoder=folder.read(source)), folder.read_tokenizer(source)
    return arrays.load(paths["inputs"], ("train", "dev"), **needs, subword=paths["subword"]), basis, tokenizer


def build(kind: type[Model], config: ModelConfig, basis: Basis, data: arrays.Inputs) -> Model:
    """Builds the model with what it needs to know of the labels.

    Raises:
        UserError: the inputs lack a head of the model.
    """
    heads, known = data.heads_named(config.heads), {}
    if kind.needs_descriptions:
        known["descriptions"] = {head: torch.from_numpy(data.descriptions[head]).long() for head in heads}
    if kind.needs_edges:
        known["edges"] = {
            head: Edges(*torch.from_numpy(pairs), torch.from_numpy(weights))
            for head, (pairs, weights) in data.edges.items()
        }
    return kind.build(config, basis, heads, **known)
