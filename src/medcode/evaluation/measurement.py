"""What one trained model shows on test."""

from __future__ import annotations

from typing import Any, NamedTuple

from medcode.config import Evaluation, Scoring
from medcode.dataset.arrays import Inputs
from medcode.engine import distributed
from medcode.evaluation import frequency, label_losses
from medcode.evaluation.summary import test_metrics
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import probabilities, score


class Measured(NamedTuple):
    """Metrics by head; tables by frequency, by linkage, and of losses; what was decided on each document, by head."""

    metrics: dict[str, Any]
    tables: tuple[list[dict[str, Any]], ...]
    decided: dict[str, tuple]


def measure(options: Evaluation, machine: Scoring, label_set: str, trained: TrainedModel, data: Inputs) -> Measured:
    """Measures a model on the test split, at the fixed threshold and at the one with the best micro F1 on dev.

    Args:
        options: how to evaluate.
        machine: where, and in which precision.
        label_set: on which the model was trained.
        trained: the model.
        data: with the splits dev and test, and with which labels are linked.
    """
    network = trained.model.to(distributed.choose_device(machine.device))
    scores = {
        name: score(network, data.tokens, split.offsets, trained.max_tokens, options.batch_size, machine.precision)
        for name, split in data.splits.items()
    }
    measured, groups, linked, losses, decided = {}, [], [], [], {}
    dev, test = data.splits["dev"], data.splits["test"]
    for head, labels in trained.labels.items():
        tuning, coded = dev.has[head], test.has[head]  # a document is measured where it was coded in the head's system
        threshold = tune_threshold(
            dev.labels[head][tuning], probabilities(scores["dev"][head][tuning]), options.threshold_grid
        )
        gold, logits = test.labels[head][coded], scores["test"][head][coded]
        predicted, known = probabilities(logits), (data.train_counts(head), threshold, options)
        # Codes outside the fifty most frequent are left out on purpose; codes never seen in training are not.
        outside = test.outside[head][coded] if label_set == "full" else None
        measured[head] = test_metrics(gold, predicted, *known, outside)
        groups += frequency.frequency_table(gold, predicted, *known, head)
        linked += frequency.linkage_table(gold, predicted, *known, head, data.linked[head])
        losses += label_losses.loss_table(gold, logits, labels, head)
        names = [name for name, has in zip(test.documents, coded, strict=True) if has]
        decided[head] = (names, labels, gold, predicted, known[0], options.fixed_threshold, threshold)
    return Measured(measured, (groups, linked, losses), decided)
