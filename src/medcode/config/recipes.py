"""Load and check configs/models/<model>.yaml: the options of a model and its recipes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from medcode.config import models
from medcode.config.files import for_label_set, read_yaml
from medcode.config.models.base import ModelConfig
from medcode.config.section import BatchSize, Count, Epochs, Number, Section, Share, Tokens, build
from medcode.errors import UserError, collect, nearest

MonitorName = Literal[
    "f1_micro", "f1_macro", "auc_micro", "auc_macro",
    "precision_at_5", "precision_at_8", "precision_at_15", "r_precision", "map", "mean_of_seven", "loss",
]  # fmt: skip

ABOVE_CODES = 4  # chapter, block, category, and the shortest longer beginning of a code

Unit = Literal["documents", "sentences"]
SPAN_HEAD = "icd"  # whose labels are codes, as those of spans


class CurriculumSettings(Section):
    """Epochs on each level of the tree above the codes: chapters, blocks, categories, codes of one more character."""

    epochs: Annotated[list[Epochs], Field(min_length=ABOVE_CODES, max_length=ABOVE_CODES)]


class Recipe(Section):
    """Training settings of a model, one recipe per published training and our own. A file states only non-defaults.

    `options` are options of the model that this recipe changes, a smaller size for instance.
    `adam_epsilon` is added to the root of the second moment; its default is torch's. AdamW of transformers, which LAAT
    and PLM-ICD use, has 1e-6, and adds it before the bias of the moment is corrected, so that it weighs more in the
    first thousand steps or so; here it is added after, as in torch.
    `schedule: linear` decays the learning rate linearly to zero at the last step; `plateau` reduces it by 10 % after
    more than 5 epochs without improvement. `warmup_share` is the warm-up as a share of all steps, `warmup_steps` in
    steps.
    `encoder_learning_rate` is the rate of the top layer of a pretrained encoder; null gives it `learning_rate`. Each
    layer below has `layer_decay` times the rate of the layer above. `clip_norm` is the maximum norm of the gradient;
    null does not clip.
    `batch_size` notes of similar length make a batch: notes are shuffled within buckets of length, whatever the recipe,
    and batches among each other, anew in every epoch (`engine.batches`).
    `patience` is the number of epochs without improvement after which training stops; null never stops early. `monitor`
    is the dev metric that chooses the best epoch: of the first head, or the mean over `monitor_heads: all`.
    `restore: last` keeps the weights of the last epoch instead of the best.
    `loss: focal` (MARN) weighs cross entropy by `focal_alpha` (1 - p)^`focal_gamma`; p is the probability of the true
    value. `loss: asymmetric` (HiCu; `training.losses`) is the sum over a document's labels, as published, where the
    other losses are the mean: about Y times as large. Adam's steps do not depend on that, so learning rates stay
    comparable; but `adam_epsilon`, Adam's `weight_decay`, `span_weight` and a model's own penalties weigh less,
    `clip_norm` cuts more, and of several heads the one with more labels weighs more.
    `loss_weights` weighs the losses of a model with several heads; null weighs each 1, or as in the model's paper.
    `label_smoothing` is the share a of a label's 0 or 1 that is spread over all labels: y (1 - a) + a / Y.
    `max_tokens` is the number of words or subwords of a note that are read. `embedding: static` does not train
    word vectors. `embedding_init: unit` scales each to norm 1, as caml-mimic; `raw` leaves them as word2vec gives them,
    as LAAT's authors; `whitened` also removes what they have in common, so that only like words are alike.

    `unit: sentences` (López-García et al. 2021) learns from the sentences of documents, each with the codes whose spans
    it overlaps, and takes the highest score of a document's sentences for the document. It is for corpora with spans
    and models with the head `icd` alone. Sentences are cut after `max_tokens`, and documents are read whole. With
    `span_documents` the words of each span are an example too.
    `span_weight` is the weight of a loss that wants the attention of a gold label to lie in its spans
    (`training.span_supervision`). It is for models whose labels attend to tokens.

    `curriculum: {epochs: [1, 1, 1, 1]}` (HiCu) trains on chapters first, then on blocks, on categories and on codes of
    one more character, so many epochs each, and then for `epochs` on the codes. `schedule` runs over all of them;
    `patience`, `monitor` and `restore` see those on the codes alone, and warm-up is on the chapters.

    Three options for corpora with few documents: `label_init: descriptions` initializes label attention from the label
    descriptions; `label_biases: log_odds` initializes each output bias from the frequency of its label;
    `description_documents` adds the description of each label as a training document.
    """

    optimizer: Literal["adam", "adamw", "radam"] = "adam"
    adam_epsilon: Annotated[Number, Field(gt=0)] = 1e-8
    learning_rate: Annotated[Number, Field(gt=0)]
    weight_decay: Annotated[Number, Field(ge=0)] = 0.0
    schedule: Literal["constant", "linear", "plateau"] = "constant"
    warmup_steps: Count = 0
    warmup_share: Share = 0.0
    encoder_learning_rate: Annotated[Number, Field(gt=0)] | None = None
    layer_decay: Annotated[Share, Field(gt=0)] = 1.0
    clip_norm: Annotated[Number, Field(gt=0)] | None = None
    batch_size: BatchSize
    epochs: Epochs
    patience: Epochs | None
    monitor: MonitorName = "f1_micro"
    monitor_heads: Literal["first", "all"] = "first"
    restore: Literal["best", "last"] = "best"
    loss: Literal["bce", "focal", "asymmetric"] = "bce"
    focal_alpha: Annotated[Number, Field(gt=0)] = 0.999
    focal_gamma: Annotated[Number, Field(ge=0)] = 2.0
    asymmetric_gamma_negative: Annotated[Number, Field(ge=0)] = 1.0
    asymmetric_gamma_positive: Annotated[Number, Field(ge=0)] = 0.0
    asymmetric_clip: Share = 0.05
    loss_weights: dict[str, Annotated[Number, Field(ge=0)]] | None = None
    label_smoothing: Annotated[Share, Field(lt=1)] = 0.0
    max_tokens: Tokens = 2500
    dropout: Annotated[Share, Field(lt=1)] = 0.2
    embedding: Literal["trained", "static"] = "trained"
    embedding_init: Literal["unit", "raw", "whitened"] = "unit"
    label_init: Literal["random", "descriptions"] = "random"
    label_biases: Literal["random", "log_odds"] = "random"
    description_documents: bool = False
    unit: Unit = "documents"
    span_documents: bool = False
    span_weight: Annotated[Number, Field(ge=0)] = 0.0
    curriculum: CurriculumSettings | None = None
    options: dict[str, Any] = Field({})

    idle: ClassVar[frozenset[str]] = frozenset()  # keys without a meaning for the model

    @property
    def reads_descriptions(self) -> bool:
        """Whether training needs label descriptions, whatever the model."""
        return self.description_documents or self.label_init == "descriptions"

    @property
    def loss_unit(self) -> str:
        """What the loss is of: a decision about a label, or a document, the sum over its decisions."""
        return "document" if self.loss == "asymmetric" else "decision"

    @property
    def note_tokens(self) -> int | None:
        """The number of words or subwords of a note that are read; None for all of them."""
        return self.max_tokens if self.unit == "documents" else None


def _not_empty(recipes: dict) -> dict:
    if not recipes:
        raise ValueError("empty; every model has at least `quick`")
    return recipes


class RecipeAtOnce(Recipe):
    """Recipe of a model whose weights are fitted at once. Keys about steps mean nothing for it and may be left out."""

    idle: ClassVar[frozenset[str]] = frozenset(Recipe.model_fields) - {
        "max_tokens", "monitor", "monitor_heads", "options", "span_documents", "unit",
    }  # fmt: skip

    learning_rate: Annotated[Number, Field(gt=0)] = 1.0
    batch_size: BatchSize = 32
    epochs: Epochs = 1
    patience: Epochs | None = None


def recipe_class(config_cls: type[ModelConfig]) -> type[Recipe]:
    """Return the class of a model's recipes."""
    return RecipeAtOnce if config_cls.fits_at_once else Recipe


class ModelFile(Section):
    """The content of configs/models/<model>.yaml: options and recipes, which `model_settings` checks."""

    options: dict[str, Any]
    recipes: Annotated[dict[str, dict[str, Any]], AfterValidator(_not_empty)]


class ModelKeys(Section):
    """The content of a model's file with recipes unchecked, so that a mistake in one recipe does not affect another."""

    options: dict[str, Any] = Field({})
    recipes: Annotated[dict[str, dict[str, Any]], AfterValidator(_not_empty)]


@dataclass(frozen=True)
class ModelSettings:
    """The model of one run: its name, its options, the name of the recipe, and the recipe."""

    model: str
    config: ModelConfig
    recipe_name: str
    recipe: Recipe


def load_model(path: str | os.PathLike, model: str, recipe: str | None, label_set: str) -> ModelSettings:
    """Read the options and one recipe from a model's file.

    Args:
        path: configs/models/<model>.yaml, or another file with `options` and `recipes`.
        recipe: its name; None takes the one that the file names under `recipe`, as data/recipe.json does.
        label_set: chooses the value of every mapping `{top50: a, full: b}`.

    Raises:
        UserError: the file or the recipe is missing; an option or a key of the recipe is wrong.
    """
    raw = read_yaml(path)
    if recipe is None:
        recipe = raw.get("recipe", "")
    return model_settings(
        {key: raw[key] for key in ("options", "recipes") if key in raw}, path, model, recipe, label_set
    )


def model_settings(
    raw: dict[str, Any], path: str | os.PathLike, model: str, recipe: str, label_set: str
) -> ModelSettings:
    """Check the options and one recipe of a model.

    Args:
        raw: `options` and `recipes` of the model's file.
        path: the file, for messages.

    Raises:
        UserError: a line for each mistake.
    """
    keys = build(ModelKeys, for_label_set(raw, label_set), path)
    if recipe not in keys.recipes:
        raise UserError(f"{path}: recipes: there is no {recipe}; {nearest(recipe, keys.recipes)}")
    chosen = build(recipe_class(models.find(model)), keys.recipes[recipe], path, f"recipes.{recipe}")
    config = configure(model, keys.options, chosen, path, recipe)
    _check_fit(model, config, chosen, f"{path}: recipes.{recipe}")
    return ModelSettings(model, config, recipe, chosen)


def _check_fit(model: str, config: ModelConfig, recipe: Recipe, where: str) -> None:
    """Check that a model can be trained as its recipe says."""
    heads, curriculum = ", ".join(config.heads), recipe.curriculum is not None
    with_these = f"which those of {model} with these options"
    rules = (
        (recipe.unit != "sentences" or config.heads == [SPAN_HEAD],
         f"unit: sentences is for models with the head {SPAN_HEAD} alone, {model} has {heads}; set unit: documents"),
        (recipe.unit == "sentences" or not recipe.span_documents,
         "span_documents: goes with unit: sentences; set that too, or span_documents: false"),
        (config.attends_to_tokens or not recipe.span_weight,
         f"span_weight: is for models whose labels attend to the tokens of a note, {with_these} do not; "
         "set span_weight: 0"),
        (config.takes_curriculum or not curriculum,
         f"curriculum: is for models whose labels attend to the tokens of a note and are a query and an output vector "
         f"each, {with_these} are not; leave curriculum out"),
        (recipe.label_init == "random" or not curriculum,
         f"label_init: {recipe.label_init} sets what a curriculum takes from the level above; set label_init: random"),
        (not recipe.span_weight or not curriculum,
         "span_weight: spans belong to codes, and a curriculum begins above them; set span_weight: 0"),
    )  # fmt: skip
    if broken := [f"{where}.{text}" for kept, text in rules if not kept]:
        raise UserError(*broken)


def configure(
    model: str, options: dict[str, Any], recipe: Recipe, path: str | os.PathLike = "options", name: str = ""
) -> ModelConfig:
    """Build the typed options of a model from its file and a recipe. The recipe may change options and sets dropout.

    Args:
        options: the options in the model's file.
        recipe: sets dropout and whether word vectors are trained, and may change options.
        path: the file that the options came from, for messages.
        name: the name of the recipe, for messages.

    Raises:
        UserError: an option is unknown, missing, of the wrong type or impossible.
    """
    cls, from_recipe = models.find(model), {"dropout": recipe.dropout, "embedding": recipe.embedding}
    where = f"recipes.{name}.options"
    # A mistake in the options concerns all recipes, so its message names none.
    lines = [
        f"{path}: options.{key}: belongs to a recipe, recipes.<recipe>.{key}" for key in from_recipe if key in options
    ]
    for key in from_recipe:
        if key in recipe.options:
            lines.append(f"{path}: {where}.{key}: belongs to the recipe itself, recipes.{name}.{key}")
    if lines:
        raise UserError(*lines)
    configured = build(cls, options | from_recipe, path, "options")
    if not recipe.options:
        return configured
    return build(cls, _merged(options, recipe.options) | from_recipe, path, where)


def _merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return options with changes, also within blocks: a recipe of JAMS changes an option of one backbone."""
    return options | {
        key: _merged(options[key], value) if isinstance(value, dict) and isinstance(options.get(key), dict) else value
        for key, value in changes.items()
    }


def check_file(path: str | os.PathLike, model: str) -> None:
    """Check a model's file whole: every recipe, for every label set.

    Raises:
        UserError: a line for each mistake.
    """
    raw = read_yaml(path, "every model has one")
    readings = [(label_set, for_label_set(raw, label_set)) for label_set in ("top50", "full")]
    collect(
        *(lambda reading=reading: build(ModelFile, reading, path) for _, reading in readings),
        *(
            lambda name=name, label_set=label_set: model_settings(raw, path, model, name, label_set)
            for label_set, reading in readings
            for name in (reading.get("recipes") or {})
        ),
    )
