"""Inputs of a training: its documents and labels, and the inputs of its model's constructor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from medcode.config import ModelSettings, Recipe
from medcode.dataset import arrays
from medcode.dataset.embedding_table import embedding_table
from medcode.dataset.fragments import with_fragments
from medcode.dataset.spans import with_spans
from medcode.encoders import folder
from medcode.encoders.subwords import read_tokenizer
from medcode.engine.device_data import DeviceNotes
from medcode.errors import UserError
from medcode.evaluation import monitor
from medcode.layers.code_edges import Edges
from medcode.models.base import Model, ModelConfig, ModelInputs


def read(
    model_cls: type[Model], config: ModelConfig, recipe: Recipe, paths: dict[str, Path]
) -> tuple[arrays.Inputs, ModelInputs, str | None]:
    """Read the splits train and dev, and the inputs of the model's constructor.

    Args:
        model_cls: the model's class.
        config: its options.
        recipe: whether training reads descriptions, even if the model does not; the norm of word vectors; and the
            length at which documents are truncated.
        paths: inputs; and subword, encoder and pretrained for a model on subwords; sentences for a recipe that reads
            them.

    Returns:
        Documents and labels; the model's inputs; and the encoder's tokenizer.json, None for a model on words.

    Raises:
        UserError: the data lack a head of the model, or the corpus the spans that the recipe needs.
    """
    needs = {"descriptions": model_cls.needs_descriptions or recipe.reads_descriptions, "edges": model_cls.needs_edges}
    if config.uses_subwords:
        source = folder.encoder_to_train(paths["encoder"], paths["pretrained"])
        encoder, tokenizer = folder.read(source), read_tokenizer(source)
        data = arrays.load(paths["inputs"], ("train", "dev"), **needs, subword=paths["subword"])
        text = {"encoder": encoder}
    else:
        data, tokenizer = arrays.load(paths["inputs"], ("train", "dev"), **needs), None
        vectors = torch.from_numpy(embedding_table(data.vectors, recipe.embedding_init))
        text = {"vocab_size": len(vectors), "vectors": vectors}
    heads = data.heads_named(config.heads)
    spans_within = min(recipe.max_tokens, config.token_limit or recipe.max_tokens) if recipe.span_weight else None
    if recipe.unit == "sentences":
        data = with_fragments(
            data,
            paths["sentences"],
            recipe.max_tokens,
            span_documents=recipe.span_documents,
            spans_within=spans_within,
        )
    elif spans_within is not None:
        data = with_spans(data, paths["sentences"], config.heads, spans_within)
    inputs = ModelInputs(
        heads=heads,
        **text,
        descriptions=_descriptions(data, heads) if model_cls.needs_descriptions else None,
        edges=_edges(data) if model_cls.needs_edges else None,
        train_documents=train_documents(data, recipe.max_tokens) if model_cls.needs_train_documents else None,
    )
    return data, inputs, tokenizer


def check_monitor(settings: ModelSettings, heads: dict[str, int]) -> None:
    """Check that the heads have the labels that the recipe's monitored metric needs.

    Args:
        settings: of the run.
        heads: number of labels of each head of the model.

    Raises:
        UserError: a monitored head has too few; the message names the setting and the metrics that do.
    """
    recipe = settings.recipe
    for head, labels in list(heads.items())[: None if recipe.monitor_heads == "all" else 1]:
        if recipe.monitor not in (names := monitor.allowed(labels)):
            raise UserError(
                f"configs/models/{settings.model}.yaml: recipes.{settings.recipe_name}.monitor: {recipe.monitor} needs "
                f"{monitor.MONITORS[recipe.monitor].labels} labels, and the head {head} has {labels}; "
                f"set one of {', '.join(names)}"
            )


def train_documents(data: arrays.Inputs, max_tokens: int) -> DeviceNotes:
    """Return the training documents, each truncated to so many tokens, on the CPU."""
    return DeviceNotes(data.tokens, data.splits["train"].offsets, max_tokens, torch.device("cpu"))


def _descriptions(data: arrays.Inputs, heads: Iterable[str]) -> dict[str, Tensor]:
    """Return the words of each label's description, {head: int64 [Y, T]}."""
    return {head: torch.from_numpy(data.descriptions[head]).long() for head in heads}


def _edges(data: arrays.Inputs) -> dict[str, Edges]:
    """Return the links of each head's codes to those of another head."""
    return {
        head: Edges(*torch.from_numpy(pairs), torch.from_numpy(weights))
        for head, (pairs, weights) in data.edges.items()
    }
