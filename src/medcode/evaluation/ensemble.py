"""Evaluation of several models as one, by the mean of their probabilities."""

from __future__ import annotations

from typing import Any

from medcode.config import Evaluation
from medcode.dataset.arrays import Inputs
from medcode.evaluation.measurement import Measurements, tuned_metrics
from medcode.inference.scoring import MeanProbabilities


class Ensemble:
    """Models of the same labels, measured as one. They are added one after another, so that none stays in memory."""

    def __init__(self) -> None:
        self.on_dev, self.on_test = MeanProbabilities(), MeanProbabilities()

    def add(self, measured: Measurements) -> None:
        """Add a measured model."""
        self.on_dev.add(measured.on_dev)
        self.on_test.add({head: of_head.probabilities for head, of_head in measured.predictions.items()})

    def metrics(self, options: Evaluation, label_set: str, data: Inputs) -> dict[str, Any]:
        """Measure the mean of the probabilities, with a threshold tuned on dev with that mean.

        Args:
            options, label_set, data: as for `measure`.

        Returns:
            Metrics as in metrics/test.json, by head.
        """
        return {
            head: tuned_metrics(options, label_set, data, head, on_dev, self.on_test.values[head])
            for head, on_dev in self.on_dev.values.items()
        }
