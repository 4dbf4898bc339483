"""Evaluation of one trained model on test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from medcode.config import Evaluation, Scoring
from medcode.dataset.arrays import Inputs
from medcode.engine import distributed
from medcode.evaluation import frequency, label_losses
from medcode.evaluation.summary import head_metrics
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import probabilities, score


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
    on_dev: dict[str, np.ndarray]  # probabilities for the dev documents coded in a head's system, by head; large


def measure(options: Evaluation, machine: Scoring, label_set: str, trained: TrainedModel, data: Inputs) -> Measurements:
    """Measure a model on the test split, at the fixed threshold and at the one with the best micro F1 on dev.

    Args:
        options: how to evaluate.
        machine: device and precision.
        label_set: that the model was trained on.
        trained: the model.
        data: with the splits dev and test, and with `linked`.
    """
    network = trained.model.to(distributed.choose_device(machine.device))
    scores = {
        name: score(network, data.tokens, split.offsets, trained.max_tokens, options.batch_size, machine.precision)
        for name, split in data.splits.items()
    }
    measurements = Measurements({}, [], [], [], {}, {})
    dev, test = data.splits["dev"], data.splits["test"]
    for head, labels in trained.labels.items():
        # Only the documents that were coded in the head's system are measured.
        is_coded = test.targets[head].is_coded
        logits = scores["test"][head][is_coded]
        gold, predicted, counts = test.targets[head].coded().matrix, probabilities(logits), data.train_counts(head)
        on_dev = measurements.on_dev[head] = probabilities(scores["dev"][head][dev.targets[head].is_coded])
        measurements.metrics[head] = tuned_metrics(options, label_set, data, head, on_dev, predicted)
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
    options: Evaluation, label_set: str, data: Inputs, head: str, on_dev: np.ndarray, on_test: np.ndarray
) -> dict[str, Any]:
    """Measure the probabilities of one head, at the fixed threshold and at the one with the best micro F1 on dev.

    Args:
        options, label_set, data: as for `measure`.
        head: its name.
        on_dev, on_test: probabilities of the documents that were coded in the head's system, float32 [n, Y].

    Returns:
        The result of `head_metrics`.
    """
    dev, test = (data.splits[name].targets[head].coded() for name in ("dev", "test"))
    threshold = tune_threshold(dev.matrix, on_dev, options.threshold_grid)
    # In full, codes outside the label set were never seen in training and count as missed. Other label sets exclude
    # codes on purpose.
    outside = test.n_codes_outside_label_set if label_set == "full" else None
    return head_metrics(test.matrix, on_test, data.train_counts(head), threshold, options, outside)
