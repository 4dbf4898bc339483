"""Parameters: what params.yaml may say, checked strictly before anything runs.

Every section of params.yaml has its class in this package, except the architecture options of a model, which stand in
that model's file. A setting that the papers choose by label set is written as a mapping, `{top50: 256, full: 512}`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml

from medcode.config.data import (
    Ccs,
    CodiEsp,
    Corpora,
    Embed,
    Gem,
    Jsonl,
    LabelSet,
    Mimic3,
    Mimic4,
    Reference,
    Split,
    Synthesize,
    System,
    Tokenize,
)
from medcode.config.encoders import EncoderSource, Pretrain, Scratch, Subword
from medcode.config.learning import Criterion, Evaluation, ModelBlock, Recipe, Training
from medcode.config.section import Count, Number, Positive, Section, Share, build
from medcode.errors import UserError, nearest

__all__ = [
    "Ccs",
    "CodiEsp",
    "Corpora",
    "Criterion",
    "Embed",
    "EncoderSource",
    "Evaluation",
    "Gem",
    "Jsonl",
    "LabelSet",
    "Mimic3",
    "Mimic4",
    "ModelBlock",
    "Number",
    "Params",
    "Pretrain",
    "Recipe",
    "Reference",
    "Scratch",
    "Section",
    "Share",
    "Split",
    "Subword",
    "Synthesize",
    "System",
    "Tokenize",
    "Training",
    "build",
    "for_label_set",
    "load",
    "read_yaml",
    "size_of",
]


class Params(Section):
    """The whole of params.yaml."""

    corpus: Literal["synthetic-mimic3", "synthetic-mimic4", "mimic3", "mimic4", "codiesp", "jsonl"]
    label_set: LabelSet
    model: str
    encoder: str
    recipe: str
    seed: Count
    seeds: Positive
    synthesize: Synthesize
    corpora: Corpora
    reference: Reference
    ccs: Ccs
    gem: Gem
    tokenize: Tokenize
    split: Split
    embed: Embed
    encoders: dict[str, EncoderSource]
    subword: Subword
    pretrain: Pretrain
    training: Training
    evaluation: Evaluation
    models: dict[str, ModelBlock]

    @property
    def all_seeds(self) -> list[int]:
        """The seeds to train, `seed` the first."""
        return list(range(self.seed, self.seed + self.seeds))


def load(path: str | os.PathLike) -> Params:
    """Reads and checks params.yaml, all but the architecture options of the models.

    Raises:
        UserError: the file is missing or not YAML; a key is unknown, missing, of the wrong type or impossible; the
            model or recipe named is not there.
    """
    raw = read_yaml(path)
    # Both readings of each `{top50: ..., full: ...}` must hold, whichever label set is chosen now.
    readings = {kind: build(Params, for_label_set(raw, kind), path) for kind in ("top50", "full")}
    params = readings[size_of(readings["full"].label_set)]
    if params.model not in params.models:
        raise UserError(
            f"{path}: model: there is no block models.{params.model}; {nearest(params.model, params.models)}"
        )
    recipes = params.models[params.model].training
    if params.recipe not in recipes:
        where = f"models.{params.model}.training"
        raise UserError(f"{path}: recipe: there is no {where}.{params.recipe}; {nearest(params.recipe, recipes)}")
    if params.encoder not in params.encoders:
        raise UserError(
            f"{path}: encoder: there is no block encoders.{params.encoder}; {nearest(params.encoder, params.encoders)}"
        )
    if params.split.published != "none" and params.split.source == "stratified":
        raise UserError(
            f"{path}: split: source: stratified sets published lists aside, yet published is {params.split.published}; "
            "set source: auto or published: none"
        )
    if params.seeds > 1 and params.training.processes > 1:
        raise UserError(
            f"{path}: seeds: {params.seeds} seeds train side by side in one process, yet training.processes is "
            f"{params.training.processes}; set one of the two to 1"
        )
    if params.split.dev_share + params.split.test_share >= 1:
        raise UserError(f"{path}: split: dev_share + test_share must be below 1, or no training document is left")
    return params


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a YAML mapping, safely.

    Raises:
        UserError: the file is missing, or is not a YAML mapping.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run this in the project's folder or name it with --params") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of parameters, found {type(value).__name__}")
    return value


def size_of(label_set: LabelSet) -> Literal["top50", "full"]:
    """Says which value of a mapping `{top50: a, full: b}` holds for a label set."""
    return "top50" if label_set.startswith("top50") else "full"


def for_label_set(value: Any, label_set: Literal["top50", "full"]) -> Any:
    """Replaces every mapping `{top50: a, full: b}` by the value for the label set."""
    if isinstance(value, dict):
        if value and set(value) <= {"top50", "full"} and label_set in value:
            return value[label_set]
        return {key: for_label_set(item, label_set) for key, item in value.items()}
    return value
