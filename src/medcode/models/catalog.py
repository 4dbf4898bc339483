"""Catalog of the models without data or weights: papers, descriptions, parameter counts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from medcode import models
from medcode.config import ModelSettings
from medcode.config.recipes import model_settings
from medcode.encoders.outline import Encoder
from medcode.errors import UserError
from medcode.layers.chunks import Specials
from medcode.models.base import count_parameters
from medcode.models.inputs import ModelInputs

BERT_BASE = {
    "hidden_size": 768, "intermediate_size": 3_072, "num_hidden_layers": 12, "max_position_embeddings": 512,
    "type_vocab_size": 2,
}  # fmt: skip
QUICK, PUBLISHED = "quick", "published"
NOT_PUBLISHED = "not published"  # shown instead of a paper
MIMIC3_LABELS = {
    "top50": {"icd": 50, "category": 40, "ccs": 38},
    "full": {"icd": 8_921, "category": 1_149, "ccs": 295},
}
MIMIC4_LABELS = {"icd9": 6_150, "icd10": 7_942}  # of models with both heads; they have no top-50 label set


def _bert(vocab_size: int) -> Encoder:
    return Encoder({"model_type": "bert", "vocab_size": vocab_size, "pad_token_id": 0}, Specials(101, 102, 0))


def _roberta(vocab_size: int) -> Encoder:
    config = {"model_type": "roberta", "vocab_size": vocab_size, "max_position_embeddings": 514, "type_vocab_size": 1}
    return Encoder({**config, "layer_norm_eps": 1e-5, "pad_token_id": 1}, Specials(0, 2, 1))


def _longformer(vocab_size: int) -> Encoder:
    config = {"model_type": "longformer", "vocab_size": vocab_size, "max_position_embeddings": 4_098}
    return Encoder({**config, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1}, Specials(0, 2, 1))


# Encoders of the publications, by their sizes alone: parameters are counted without the encoders' files.
PUBLISHED_SIZES = {
    "bert-base-cased": _bert(28_996),
    "bert-base-uncased": _bert(30_522),
    "bert-multilingual-cased": _bert(119_547),
    "longformer-base": _longformer(50_265),
    "roberta-base": _roberta(50_265),
    "roberta-base-pm": _roberta(50_008),  # the vocabulary of Lewis et al. 2020 (M3, Voc), not verified
}


class CountedEncoder(Encoder):
    """A BERT encoder whose parameters are only counted, without loading transformers, which takes seconds.

    Source of the count: Devlin et al. 2019, section 3. Sizes that the configuration lacks are those of BERT-base.
    Longformer has a second query, key and value in every layer, for its global attention.
    """

    def module(self, dropout: float, *, pooler: bool) -> nn.Module:
        """Return a module with as many parameters as the encoder has."""
        sizes = BERT_BASE | self.config
        return _Counted(SimpleNamespace(**sizes), pooler=pooler)


class _Counted(nn.Module):
    def __init__(self, config: SimpleNamespace, *, pooler: bool) -> None:
        super().__init__()
        self.config, width, inner = config, config.hidden_size, config.intermediate_size
        self.words = nn.Embedding(config.vocab_size, width)
        norm, square = 2 * width, width * (width + 1)
        squares = 7 if config.model_type == "longformer" else 4
        layer = squares * square + norm + inner * (width + 1) + width * (inner + 1) + norm
        rows = config.max_position_embeddings + config.type_vocab_size
        n_remaining = rows * width + norm + config.num_hidden_layers * layer + (square if pooler else 0)
        self.remaining = nn.Parameter(torch.empty(n_remaining))

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the subword embeddings."""
        return self.words


@dataclass(frozen=True)
class ModelFile:
    """The configuration file of a model: its content and folder, and the chosen recipe (None: the default)."""

    name: str
    content: dict[str, Any]
    folder: Path
    recipe: str | None = None

    def settings(self, label_set: str) -> ModelSettings:
        """Return the model and its recipe for a label set.

        Raises:
            UserError: the file is not valid.
        """
        recipe = self.recipe or default_recipe(self.content.get("recipes") or {"published": None})
        return model_settings(self.content, self.folder / f"{self.name}.yaml", self.name, recipe, label_set)


def describe(
    file: ModelFile, heads: dict[str, int], label_set: str, vocab_size: int, encoder: str | None = None
) -> dict[str, Any]:
    """Return the name, paper, description and parameter counts of a model.

    Args:
        file: configuration file of the model.
        heads, label_set, vocab_size, encoder: as for `parameters`.
    """
    counts = parameters(file.settings(label_set), heads, label_set, vocab_size, encoder)
    return {**described(file.name), "parameters": counts["total"], "trainable": counts["trainable"]}


def default_recipe(recipes: Iterable[str]) -> str:
    """Return the default recipe: `published`, else the first that is not `quick`, else `quick`.

    Raises:
        UserError: there is no recipe.
    """
    names = list(recipes)
    if not names:
        raise UserError("recipes: there is none; every model has at least one")
    return next((name for name in (PUBLISHED, *names) if name in names and name != QUICK), names[0])


def parameters(
    settings: ModelSettings, heads: dict[str, int], label_set: str, vocab_size: int, encoder: str | None = None
) -> dict[str, int]:
    """Count the parameters of a model, all and the trainable ones, without sampling its weights.

    Args:
        settings: the model and its recipe.
        heads: number of labels of each head. A head of the model that is missing here gets the number of labels of
            MIMIC-III, or of MIMIC-IV for icd9 and icd10. Heads that the model does not have are ignored if none of its
            heads is named.
        label_set: top50 or full; selects these defaults.
        vocab_size: number of embedding rows, padding and unknown words included.
        encoder: size of the encoder, a key of PUBLISHED_SIZES; None takes the published one.
    """
    if not heads.keys() & set(settings.config.heads):  # the heads named are those of other models
        heads = {}
    defaults = MIMIC3_LABELS[label_set] | MIMIC4_LABELS
    heads = {head: defaults[head] for head in settings.config.heads if head not in heads} | heads
    size = settings.config.published_encoder
    if size is None:
        inputs = ModelInputs(heads=heads, vocab_size=vocab_size)
    else:
        inputs = ModelInputs(heads=heads, encoder=_counted(PUBLISHED_SIZES[encoder or size]))
    with _NoRandomNumbers():
        return count_parameters(models.find(settings.model)(settings.config, inputs))


class _NoRandomNumbers(TorchFunctionMode):
    """Skips random initialization, so that the memory of weights is never touched.

    The device `meta` would need no memory at all, but there torch loads its compiler for every second operation.
    """

    def __torch_function__(
        self, function: Callable, types: Any, arguments: tuple = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Run every function except in-place sampling."""
        if getattr(function, "__name__", "").endswith(("normal_", "uniform_")):  # kaiming_uniform_ is one as well
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **(options or {}))


def _counted(encoder: Encoder) -> CountedEncoder:
    return CountedEncoder(encoder.config, encoder.specials)


def described(name: str) -> dict[str, Any]:
    """Return the name of a model, its paper (None where it was not published) and its description in a few words."""
    model = models.find(name)
    summary = (sys.modules[model.__module__].__doc__ or "").strip().splitlines()[0]
    return {"name": name, "paper": model.paper, "description": summary.split(": ", 1)[-1].rstrip(".")}
