"""Evaluation of one trained model on test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from medcode.config import Evaluation, Scoring
from medcode.dataset.arrays import Inputs
from medcode.engine import distributed
from medcode.evaluation import frequency, label_losses, official
from medcode.evaluation.summary import head_metrics, official_metrics
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import probabilities, score_split

MEASURED = ("dev", "test")  # splits: the threshold is tuned on the first, metrics are of the second


@dataclass(frozen=True)
class Predictions:
    """Probabilities of a head's labels for the test documents that were coded in its system.

    Attributes:
        documents: their admissions [n].
        labels: records with system and code [Y].
        gold: 0 or 1, CSR [n, Y].
        probabilities: float32 [n, Y].
        train_counts: training documents of each label, int64 [Y].
        fixed_threshold: of the options.
        tuned_threshold: the one with the best micro F1 on dev.
    """

    documents: list[str]
    labels: list[dict[str, Any]]
    gold: sparse.csr_matrix
    probabilities: np.ndarray
    train_counts: np.ndarray
    fixed_threshold: float
    tuned_threshold: float


@dataclass(frozen=True)
class Measurements:
    """Metrics, tables and predictions of one trained model on test."""

    metrics: dict[str, Any]  # by head
    frequency: list[dict[str, Any]]  # rows of the table by training frequency of the labels, head by head
    linkage: list[dict[str, Any]]  # rows of the table by links to the other edition of ICD
    losses: list[dict[str, Any]]  # a row for each label
    predictions: dict[str, Predictions]  # by head; large
    probabilities: dict[str, dict[str, np.ndarray]]  # of all documents, float32 [n, Y] by split and head; large


def measure(
    options: Evaluation, machine: Scoring, codes: pd.DataFrame | None, trained: TrainedModel, data: Inputs
) -> Measurements:
    """Measure a model on the test split, at the fixed threshold and at the one with the best micro F1 on dev.

    Args:
        options: how to evaluate.
        machine: device and precision.
        codes: admission_id, system, code; every gold code, for official measures of the head `icd`. None for a label
            set that leaves codes out on purpose, which has no such measures.
        trained: the model.
        data: with the splits dev and test, and with `linked`.
    """
    network = trained.model.to(distributed.choose_device(machine.device))
    scores = {
        name: score_split(
            network, data.tokens, data.splits[name], trained.max_tokens, options.batch_size, machine.precision
        )
        for name in MEASURED
    }
    of_split = {name: {head: probabilities(x) for head, x in logits.items()} for name, logits in scores.items()}
    measurements, test = Measurements({}, [], [], [], {}, of_split), data.splits["test"]
    for head, labels in trained.labels.items():
        measurements.metrics[head] = tuned_metrics(options, codes, data, head, *(of_split[x][head] for x in MEASURED))
        # Only the documents that were coded in the head's system are measured.
        is_coded, counts = test.targets[head].is_coded, data.train_counts(head)
        gold, logits, predicted = (
            values[is_coded] for values in (test.targets[head].matrix, scores["test"][head], of_split["test"][head])
        )
        threshold = measurements.metrics[head]["tuned"]["threshold"]
        shared = gold, predicted, counts, threshold, options
        measurements.frequency.extend(frequency.frequency_table(*shared, head))
        measurements.linkage.extend(frequency.linkage_table(*shared, head, data.linked[head]))
        measurements.losses.extend(label_losses.loss_table(gold, logits, labels, head))
        documents = [name for name, coded in zip(test.documents, is_coded, strict=True) if coded]
        measurements.predictions[head] = Predictions(
            documents, labels, gold, predicted, counts, options.fixed_threshold, threshold
        )
    return measurements


def tuned_metrics(
    options: Evaluation,
    codes: pd.DataFrame | None,
    data: Inputs,
    head: str,
    on_dev: np.ndarray,
    on_test: np.ndarray,
) -> dict[str, Any]:
    """Measure the probabilities of one head, at the fixed threshold and at the one with the best micro F1 on dev.

    Args:
        options, codes, data: as for `measure`.
        head: its name.
        on_dev, on_test: probabilities of all documents of the splits, float32 [n, Y].

    Returns:
        The result of `head_metrics`, and with codes that of `official_metrics` as a section `official` before it.
    """
    dev, test = (data.splits[name] for name in MEASURED)
    dev_targets, targets = (split.targets[head] for split in (dev, test))
    threshold = tune_threshold(dev_targets.coded().matrix, on_dev[dev_targets.is_coded], options.threshold_grid)
    of_head = {}
    if codes is not None and head == "icd":
        scored_dev = official.ScoredDocuments(dev.documents, on_dev)
        scored_test = official.ScoredDocuments(test.documents, on_test)
        tasks = official.tasks(data.labels[head], codes, scored_dev, scored_test, options.threshold_grid)
        of_head["official"] = official_metrics(tasks)
    gold, scores = targets.coded().matrix, on_test[targets.is_coded]
    return of_head | head_metrics(gold, scores, data.train_counts(head), threshold, options)
