"""Keys and sections of params.yaml about the run, the training engine, and evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from medcode.config.data import LabelSet
from medcode.config.section import Ascending, BatchSize, Count, Positive, Section, Seed, Share

ThresholdGrid = Annotated[int, Field(ge=2, le=10_000)]
CalibrationMethod = Literal["none", "temperature", "isotonic"]
Thresholds = Literal["global", "per_code"]


class Run(Section):
    """Choices of a run: the top-level keys of params.yaml outside any section.

    `recipe` is not among them: a run depends on the settings that it stands for (`config.auto_recipe`).
    """

    corpus: str
    label_set: LabelSet
    model: str
    encoder: str
    seed: Seed
    seeds: Annotated[Positive, Field(le=1_000)]

    @property
    def all_seeds(self) -> list[int]:
        """Seeds to train, starting with `seed`."""
        return list(range(self.seed, self.seed + self.seeds))


class Threads(Section):
    """The part of `training` that all work on a CPU reads. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    threads: Annotated[Positive, Field(le=1_024)]


class Machine(Threads):
    """Device, precision and threads: the keys of `training` that pretraining reads too. It ignores the others."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16"]

    @model_validator(mode="after")
    def _apple_computes_in_fp32(self) -> Self:
        if self.device == "mps" and self.precision == "bf16":
            raise ValueError("expected precision auto or fp32 with device mps, found bf16")
        return self


class Scoring(Machine):
    """The part of `training` that scoring reads."""

    kernels: Literal["auto", "plain", "fused"] = "auto"


class Training(Scoring):
    """The training engine: settings that do not change the mathematics of a model."""

    model_config = ConfigDict(extra="forbid")

    processes: Annotated[Positive, Field(le=64)]
    nodes: Annotated[Positive, Field(le=1_024)] = 1
    padding: Share
    micro_batch: Count = 0
    gradient_checkpointing: bool = False
    cuda_graphs: bool = False
    checkpoint_steps: Positive
    overfit_documents: Count
    limit_batches: Count

    @model_validator(mode="after")
    def _apple_has_one_process(self) -> Self:
        for name, number in (("processes", self.processes), ("nodes", self.nodes)):
            if self.device == "mps" and number > 1:
                raise ValueError(f"expected {name} 1 with device mps, found {number}")
        return self


class Evaluation(Section):
    """Metrics and thresholds. `baseline: false` fits no linear baseline to show beside the results.

    `labels: present` leaves codes that are absent from test, and documents without a code, out of all metrics but AUC.
    """

    labels: Literal["all", "present"] = "all"
    macro_f1: Literal["caml", "per_label_all", "per_label_present"]
    fixed_threshold: Share
    threshold_grid: ThresholdGrid
    at: Ascending
    frequency_bins: Annotated[Ascending, Field(min_length=1)]
    batch_size: BatchSize
    baseline: bool = True


class Tuning(Section):
    """The part of `evaluation` that tuning on dev reads. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    threshold_grid: ThresholdGrid
    batch_size: BatchSize


class Batches(Section):
    """The part of `evaluation` that scoring dev reads. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    batch_size: BatchSize


class Explain(Section):
    """How evidence is measured: whether, by which methods, and on how many documents.

    `enabled: auto` measures it where the corpus has spans.
    """

    enabled: Literal["auto", True, False]
    methods: list[
        Literal[
            "label_attention",
            "gradient_x_input",
            "attention_x_gradient",
            "attention_x_signed_gradient",
            "integrated_gradients",
            "occlusion",
            "exact",
        ]
    ]
    documents: Count
    faithfulness_documents: Count
    seed: Seed


class Measuring(Section):
    """What a command that scores a split reads of params.yaml. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    label_set: LabelSet
    evaluation: Evaluation
    training: Scoring
