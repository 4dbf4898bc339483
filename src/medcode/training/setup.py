"""Inputs of a training: its documents and labels, and the inputs of its model's constructor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medcode.codes.tree import Path as TreePath
from medcode.config import ModelSettings, Recipe
from medcode.dataset import arrays, knowledge
from medcode.dataset.embedding_table import embedding_table
from medcode.dataset.fragments import with_fragments
from medcode.dataset.spans import with_spans
from medcode.encoders import folder
from medcode.encoders.subwords import SubwordTokenizer, read_tokenizer
from medcode.engine.device_data import DeviceNotes
from medcode.errors import UserError
from medcode.evaluation import monitor
from medcode.layers.code_edges import Edges
from medcode.models.base import ModelConfig
from medcode.models.inputs import ModelInputs
from medcode.text.tokenization import text_of, tokenize
from medcode.text.vocabulary import Vocabulary


def read(
    config: ModelConfig, recipe: Recipe, paths: Mapping[str, Path], text: str = "words"
) -> tuple[arrays.Inputs, ModelInputs, SubwordTokenizer | None]:
    """Read the splits train and dev, and the inputs of the model's constructor.

    Args:
        config: options of the model, which say what it needs.
        recipe: whether training reads descriptions, even if the model does not; the norm of word vectors; and the
            length at which documents are truncated.
        paths: inputs; and subword, encoder and pretrained for a model on subwords; sentences for a recipe that reads
            them; knowledge for a model that needs terms or the tree, or a recipe with a curriculum.
        text: which text of a note is tokenized into subwords (`subword.text`).

    Returns:
        Documents and labels; the model's inputs; and the encoder's tokenizer, None for a model on words.

    Raises:
        UserError: the data lack a head of the model, or what it needs of its labels, or the corpus the spans that the
            recipe needs.
    """
    needs = {"descriptions": config.needs_descriptions or recipe.reads_descriptions, "edges": config.needs_edges}
    tokenizer, of_text = None, {}
    if config.uses_subwords:
        source = folder.encoder_to_train(paths["encoder"], paths["pretrained"])
        encoder, tokenizer = folder.read(source), SubwordTokenizer(read_tokenizer(source), text)
        data = arrays.load(paths["inputs"], ("train", "dev"), **needs, subword=paths["subword"])
        of_text = {"encoder": encoder}
    else:
        data = arrays.load(paths["inputs"], ("train", "dev"), **needs)
        vectors = torch.from_numpy(embedding_table(data.vectors, recipe.embedding_init))
        of_text = {"vocab_size": len(vectors), "vectors": vectors, "vocabulary": data.vocabulary}
    heads = data.heads_named(config.heads)
    spans_within = min(recipe.max_tokens, config.token_limit or recipe.max_tokens) if recipe.span_weight else None
    of_labels = label_knowledge(data, config, heads, paths)
    if recipe.curriculum is not None and not config.needs_tree:
        of_labels["tree"] = tree_of(heads, paths)
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
        **of_text,
        **of_labels,
        tokenize=text_tokenizer(data, tokenizer),
        edges=_edges(data) if config.needs_edges else None,
        train_documents=train_documents(data, recipe.max_tokens) if config.needs_train_documents else None,
    )
    return data, inputs, tokenizer


def label_knowledge(
    data: arrays.Inputs, config: ModelConfig, heads: Iterable[str], paths: Mapping[str, Path]
) -> dict[str, Any]:
    """Return what the model needs of its labels, by the names of the fields of `ModelInputs`.

    Raises:
        UserError: data/knowledge lacks what the model needs.
    """
    found: dict[str, Any] = {}
    if config.needs_descriptions:
        found["descriptions"] = {head: torch.from_numpy(data.descriptions[head]).long() for head in heads}
    if config.needs_titles:
        found["titles"] = {head: [label["description"] for label in data.labels[head]] for head in heads}
    if config.needs_terms:
        terms = knowledge.read_terms(paths["knowledge"])
        found["terms"] = {head: terms[head] for head in heads}
    if config.needs_tree:
        found["tree"] = tree_of(heads, paths)
    if config.needs_cooccurrence:
        gold = {head: data.splits["train"].targets[head].matrix.astype(np.int64) for head in heads}
        found["cooccurrence"] = {head: (of_head.T @ of_head).tocsr() for head, of_head in gold.items()}
    return found


def tree_of(heads: Iterable[str], paths: Mapping[str, Path]) -> dict[str, list[TreePath]]:
    """Return the path of each label in the tree of codes, by head.

    Raises:
        UserError: data/knowledge holds none.
    """
    tree = knowledge.read_paths(paths["knowledge"])
    return {head: tree[head] for head in heads}


def text_tokenizer(
    data: arrays.Inputs, tokenizer: SubwordTokenizer | None
) -> Callable[[Sequence[str]], list[np.ndarray]]:
    """Return a function that splits texts into ids of words or subwords, as notes are.

    Args:
        data: with the vocabulary and the rule of words.
        tokenizer: the encoder's; None for a model on words.
    """
    if tokenizer is not None:
        return lambda texts: tokenizer([text_of(text, tokenizer.text, data.rule) for text in texts])
    vocabulary = Vocabulary(data.vocabulary)
    return lambda texts: [vocabulary.rows(tokenize(text, data.rule)) for text in texts]


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


def _edges(data: arrays.Inputs) -> dict[str, Edges]:
    """Return the links of each head's codes to those of another head."""
    return {
        head: Edges(*torch.from_numpy(pairs), torch.from_numpy(weights))
        for head, (pairs, weights) in data.edges.items()
    }
