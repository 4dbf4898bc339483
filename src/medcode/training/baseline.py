"""The linear baseline, which every result is shown beside: the linear model on the same inputs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from medcode.config import Evaluation, ModelSettings, Scoring
from medcode.dataset.arrays import LINKED_HEADS, Inputs
from medcode.evaluation.measurement import measure
from medcode.inference.saved_model import TrainedModel
from medcode.models.inputs import ModelInputs
from medcode.models.linear import Linear
from medcode.training.setup import train_documents

HEADS = ("icd", *LINKED_HEADS)  # those of codes: groups of codes have no baseline


def fit_and_measure(
    settings: ModelSettings,
    data: Inputs,
    label_set: str,
    options: Evaluation,
    machine: Scoring,
    codes: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Fit the linear model of each code, and measure it on test as a trained model is.

    Args:
        settings: of the linear model.
        data: all three splits, with `linked`.
        label_set: of the data.
        options: how to evaluate.
        machine: device and precision of the scores.
        codes: every gold code, as `measure` takes them.

    Returns:
        Metrics as in metrics/test.json, by head.
    """
    heads = {head: labels for head, labels in data.heads.items() if head in HEADS}
    documents, max_tokens = train_documents(data, settings.recipe.max_tokens), settings.recipe.max_tokens
    inputs = ModelInputs(heads=heads, vocab_size=len(data.vectors), train_documents=documents)
    model = Linear(settings.config, inputs)
    model.fit(documents, data.splits["train"].targets)
    labels = {head: data.labels[head] for head in heads}
    trained = TrainedModel(
        settings.model, model, data.vocabulary, labels, {}, max_tokens, data.rule, label_set
    )  # fmt: skip
    return measure(options, machine, codes, trained, data).metrics
