"""Sections of params.yaml about learning: recipes, the engine, evaluation and the models' blocks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from medcode.config.section import Ascending, Count, Number, Positive, Section, Share

Criterion = Literal[
    "f1_micro", "f1_macro", "auc_micro", "auc_macro",
    "precision_at_5", "precision_at_8", "precision_at_15", "r_precision", "map", "mean_of_seven", "loss",
]  # fmt: skip


class Recipe(Section):
    """How a model is trained: complete in itself, one per published training of the model.

    `focal_alpha` and `focal_gamma` matter to `loss: focal` alone, and are MARN's where a recipe does not name them.
    `head_weights` weighs the losses of a model with several heads; null weighs each 1, or as the model's paper says.
    `criterion_heads` says whether the criterion is that of the first head, or the mean over all.
    `encoder_learning_rate` is that of the top layer of a pretrained encoder, each layer below having `layer_decay`
    times the rate of the one above; null gives the top layer `learning_rate`. `warmup_share` states the warm-up as a
    share of all steps. `keep: last` keeps the weights of the last epoch instead of those of the best.

    Three options for corpora with few documents: `label_vectors: titles` lets label attention start from the titles of
    labels, `label_biases: log_odds` starts each output bias from how frequent its label is, and `title_documents` makes
    the title of each label one more training document.
    """

    optimizer: Literal["adam", "adamw"]
    learning_rate: Annotated[Number, Field(gt=0)]
    weight_decay: Annotated[Number, Field(ge=0)]
    schedule: Literal["constant", "linear", "plateau"]
    warmup_steps: Count
    warmup_share: Share = 0.0
    encoder_learning_rate: Annotated[Number, Field(gt=0)] | None = None
    layer_decay: Annotated[Share, Field(gt=0)] = 1.0
    clip_norm: Annotated[Number, Field(gt=0)] | None
    batch_size: Positive
    epochs: Positive
    patience: Positive | None
    criterion: Criterion
    criterion_heads: Literal["first", "all"] = "first"
    keep: Literal["best", "last"] = "best"
    loss: Literal["bce", "focal"]
    focal_alpha: Annotated[Number, Field(gt=0)] = 0.999
    focal_gamma: Annotated[Number, Field(ge=0)] = 2.0
    head_weights: dict[str, Annotated[Number, Field(ge=0)]] | None
    label_smoothing: Annotated[Share, Field(lt=1)]
    max_tokens: Positive
    dropout: Annotated[Share, Field(lt=1)]
    embedding: Literal["trained", "static"]
    label_vectors: Literal["drawn", "titles"] = "drawn"
    label_biases: Literal["drawn", "log_odds"] = "drawn"
    title_documents: bool = False

    @property
    def reads_titles(self) -> bool:
        """Whether training needs the titles of labels, whatever the model."""
        return self.title_documents or self.label_vectors == "titles"


class Training(Section):
    """The engine: what does not change the mathematics of a model."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16"]
    threads: Positive
    processes: Positive
    padding: Share
    micro_batch: Count = 0
    gradient_checkpointing: bool = False
    cuda_graphs: bool = False
    checkpoint_steps: Positive
    overfit: Count
    limit: Count


class Evaluation(Section):
    """Metrics and thresholds."""

    macro_f1: Literal["caml", "per_label_all", "per_label_present"]
    fixed_threshold: Share
    threshold_grid: Annotated[int, Field(ge=2)]
    at: Ascending
    frequency_bins: Annotated[Ascending, Field(min_length=1)]
    batch_size: Positive


class ModelBlock(BaseModel):
    """A block under `models:`: architecture options (checked by the model's own file) and its recipes."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    training: dict[str, Recipe]

    @property
    def architecture(self) -> dict[str, Any]:
        """The options of the model's constructor."""
        return dict(self.model_extra or {})
