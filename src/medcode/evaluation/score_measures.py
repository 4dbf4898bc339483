"""Whether the scores of a model may be trusted: calibration, thresholds of single codes, and abstention, on test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcode import io
from medcode.config import Evaluation
from medcode.dataset.arrays import Inputs
from medcode.dataset.binary_csr import as_binary_csr
from medcode.evaluation import abstention, reliability
from medcode.evaluation.measured_labels import measured
from medcode.evaluation.metrics import counts
from medcode.evaluation.monitor import MONITORS, Scored
from medcode.inference.calibration import NOTHING, Calibration, HeadCalibration, Heads, read

BEFORE, AFTER = "before", "after"  # the calibration


@dataclass(frozen=True)
class Curves:
    """Rows of plots/reliability.csv and plots/risk_coverage.csv."""

    reliability: list[dict[str, Any]]
    risk_coverage: list[dict[str, Any]]

    def write(self, reliability_path: Path, risk_coverage_path: Path) -> None:
        """Write both tables."""
        io.write_csv(reliability_path, self.reliability, list(reliability.COLUMNS))
        io.write_csv(risk_coverage_path, self.risk_coverage, list(abstention.COLUMNS))


@dataclass(frozen=True)
class ScoreMeasurement:
    """A calibration with the documents that models are measured on.

    Attributes:
        options: how to evaluate.
        data: with the split test.
        calibration: of the models; None if they have none.
    """

    options: Evaluation
    data: Inputs
    calibration: Calibration | None

    @classmethod
    def read(
        cls, folder: Path | None, models: list[str], heads: Mapping[str, int], options: Evaluation, data: Inputs
    ) -> ScoreMeasurement:
        """Read a calibration.

        Args:
            folder: models/calibration; None for no calibration.
            models: digests of the weights of each seed.
            heads: of the models, with their numbers of labels.
            options: how to evaluate.
            data: with the split test.

        Raises:
            UserError: the calibration is damaged, or was made for other models.
        """
        return cls(options, data, None if folder is None else read(folder, models, heads))

    def add_to(self, metrics: dict[str, Any], probabilities: Mapping[str, np.ndarray], seed: int | None) -> Curves:
        """Add a section `scores` to the metrics of each head.

        Args:
            metrics: by head, as in metrics/test.json; the threshold for all codes is the one tuned on dev there.
            probabilities: of all documents of test, float32 [n, Y] by head.
            seed: the number of the seed, from 0; None for the mean of all.
        """
        curves, heads = Curves([], []), self._heads(seed)
        for head in metrics:
            of_head = heads.get(head, NOTHING)
            targets = self.data.splits["test"].targets[head]
            gold, scores = as_binary_csr(targets.coded().matrix), probabilities[head][targets.is_coded]
            # The same labels and documents as in all metrics at a threshold.
            thresholds = np.array(of_head.code_thresholds or np.zeros(gold.shape[1]))
            gold, scores, thresholds = measured(gold, scores, self.options, thresholds)
            if of_head.code_thresholds is not None:
                of_head = HeadCalibration(map=of_head.map, code_thresholds=thresholds.tolist())
            section = _Head(head, self.options, gold, scores, metrics[head]["tuned"]["threshold"], of_head)
            metrics[head]["scores"] = section.measures(curves)
        return curves

    def _heads(self, seed: int | None) -> Heads:
        if self.calibration is None:
            return {}
        return self.calibration.mean if seed is None else self.calibration.seeds[seed]


@dataclass(frozen=True)
class _Head:
    """The measured documents and labels of one head: gold 0/1 CSR [n, Y], the model's own scores float32 [n, Y]."""

    name: str
    options: Evaluation
    gold: Any
    scores: np.ndarray
    threshold: float
    calibration: HeadCalibration

    def measures(self, curves: Curves) -> dict[str, Any]:
        """Return the section `scores` of test.json, and add the rows of the curves."""
        if not self.scores.size:
            return {}
        right, calibrated = self.gold.toarray() > 0, self.calibration.map(self.scores)
        predicted = self.calibration.decide(self.scores, self.threshold)
        return {
            "calibration": self._calibration(right, calibrated, curves),
            "thresholds": self._thresholds(predicted),
            "abstention": self._abstention(right, calibrated, predicted, curves),
        }

    def _calibration(self, is_gold: np.ndarray, calibrated: np.ndarray, curves: Curves) -> dict[str, Any]:
        right, stages = is_gold.ravel(), {BEFORE: self.scores.ravel(), AFTER: calibrated.ravel()}
        if self.calibration.map.kind == "identity":
            del stages[AFTER]
        shown = reliability.considered(stages[BEFORE], right)
        for stage, values in stages.items():
            rows = reliability.bins(values[shown], right[shown])
            curves.reliability.extend({"head": self.name, "probabilities": stage} | row for row in rows)
        sections: dict[str, Any] = {
            stage: reliability.measures(values, right, shown) for stage, values in stages.items()
        }
        return sections | {"considered": int(shown.sum()), "decisions": len(right)}

    def _thresholds(self, predicted: np.ndarray) -> dict[str, Any]:
        decided = {"global": self.scores > self.scores.dtype.type(self.threshold)}
        if self.calibration.code_thresholds is not None:
            decided["per_code"] = predicted
        return {name: self._f1(decisions) for name, decisions in decided.items()}

    def _f1(self, decisions: np.ndarray) -> dict[str, float]:
        scored = Scored(self.gold, decisions.astype(np.float32), 0.5, self.options.macro_f1)
        return {f"f1_{name}": MONITORS[f"f1_{name}"].function(scored) for name in ("micro", "macro")}

    def _abstention(
        self, is_gold: np.ndarray, calibrated: np.ndarray, predicted: np.ndarray, curves: Curves
    ) -> dict[str, Any]:
        _, documents = counts(self.gold, predicted.astype(np.float32), 0.5)
        confidence = abstention.expected_f1(calibrated, predicted)
        of_codes = abstention.of_codes(self.scores[predicted], is_gold[predicted])
        of_notes = abstention.of_notes(confidence, documents)
        for name, curve in (("codes", of_codes), ("notes", of_notes)):
            curves.risk_coverage.extend({"head": self.name, "of": name} | point for point in curve.points())
        return abstention.measures(of_codes, of_notes, confidence, documents)
