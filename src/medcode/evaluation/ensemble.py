"""Evaluation of several models as one, by the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medcode.config import Evaluation
from medcode.dataset.arrays import Inputs
from medcode.evaluation.measurement import MEASURED, tuned_metrics
from medcode.inference.scoring import MeanProbabilities


class Ensemble:
    """Models of the same labels, measured as one. They are added one after another, so that none stays in memory."""

    def __init__(self) -> None:
        self.of_split = {name: MeanProbabilities() for name in MEASURED}

    def add(self, probabilities: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Add a model by its probabilities of all documents, float32 [n, Y] by split and head."""
        for name, mean in self.of_split.items():
            mean.add(probabilities[name])

    def metrics(self, options: Evaluation, codes: pd.DataFrame | None, data: Inputs) -> dict[str, Any]:
        """Measure the mean of the probabilities, with a threshold tuned on dev with that mean.

        Args:
            options, codes, data: as for `measure`.

        Returns:
            Metrics as in metrics/test.json, by head.
        """
        dev, test = (self.of_split[name].values for name in MEASURED)
        return {head: tuned_metrics(options, codes, data, head, dev[head], test[head]) for head in dev}
