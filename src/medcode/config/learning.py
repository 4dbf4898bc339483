"""Keys and sections of params.yaml about what a run trains, the engine, and evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from medcode.config.data import LabelSet
from medcode.config.section import Ascending, Count, Positive, Section, Share


class Run(Section):
    """What a run trains: the keys of params.yaml that stand by themselves."""

    corpus: str
    label_set: LabelSet
    model: str
    encoder: str
    recipe: str
    seed: Count
    seeds: Positive

    @property
    def all_seeds(self) -> list[int]:
        """The seeds to train, `seed` the first."""
        return list(range(self.seed, self.seed + self.seeds))


class Machine(Section):
    """The part of `training` that scoring and pretraining read too: where to compute, in which precision, by what.

    Keys that only training reads are left alone.
    """

    model_config = ConfigDict(extra="ignore")

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16"]
    threads: Positive
    kernels: Literal["auto", "plain", "fused"] = "auto"


class Training(Machine):
    """The engine: what does not change the mathematics of a model."""

    model_config = ConfigDict(extra="forbid")

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
