"""Metrics on dev after an epoch: those of the learning curve, and those that a recipe may monitor.

Training depends on no other metrics, so editing a metric that is reported on test only makes no training rerun.
`MonitorName` in config/recipes.py lists the same names, so that a recipe is checked without NumPy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError, nearest
from medcode.evaluation import metrics, ranking
from medcode.evaluation.metrics import Counts, MacroF1
from medcode.evaluation.ranking import Ranking

Gold: TypeAlias = sparse.spmatrix | sparse.sparray | np.ndarray

DEV_THRESHOLD = 0.5


class Scored:
    """Gold labels and scores of one head. Counts, ranks and areas are computed once, when first needed.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 [documents, labels].
        threshold: a code is predicted when its probability is above.
        macro_f1: the definition of the headline macro F1.

    Raises:
        UserError: a score is not a probability.
    """

    def __init__(self, gold: Gold, scores: np.ndarray, threshold: float, macro_f1: MacroF1 = "caml") -> None:
        self.gold, self.scores = as_binary_csr(gold), scores
        metrics.check_scores(self.gold, scores)
        self.threshold, self.macro_f1 = threshold, macro_f1

    @functools.cached_property
    def _counts(self) -> tuple[Counts, Counts]:
        return metrics.counts(self.gold, self.scores, self.threshold)

    @property
    def labels(self) -> Counts:
        """Counts per label at the threshold."""
        return self._counts[0]

    @property
    def documents(self) -> Counts:
        """Counts per document at the threshold."""
        return self._counts[1]

    @functools.cached_property
    def ranking(self) -> Ranking:
        """Ranks of the gold labels."""
        return ranking.gold_ranks(self.gold, self.scores)

    @functools.cached_property
    def areas(self) -> np.ndarray:
        """Area under the ROC curve of each label, [labels]; NaN where it is undefined."""
        return ranking.auc_per_label(self.gold, self.scores)


@dataclass(frozen=True)
class Monitor:
    """A metric on dev.

    Attributes:
        function: computes it.
        every_epoch: whether it is computed for every recipe. Else only for recipes that monitor it.
        labels: the fewest labels that a head must have.
    """

    function: Callable[[Scored], float]
    every_epoch: bool = False
    labels: int = 1


def mean_of_seven(scored: Scored) -> float:
    """Return the mean of seven metrics, by which JAMS' code selects the epoch.

    Macro F1 is that of Edin et al. (2023), whatever the headline is.
    """
    ranks = scored.ranking
    values = [
        metrics.f1_macro(scored.labels, "per_label_present"),
        metrics.f1_micro(scored.labels),
        metrics.exact_match(scored.documents),
        ranking.precision_at(ranks, 8),
        ranking.precision_at(ranks, 15),
        ranking.r_precision(ranks),
        ranking.mean_average_precision(ranks),
    ]
    return float(np.mean(values))


MONITORS: dict[str, Monitor] = {
    "f1_micro": Monitor(lambda scored: metrics.f1_micro(scored.labels), every_epoch=True),
    "f1_macro": Monitor(lambda scored: metrics.f1_macro(scored.labels, scored.macro_f1), every_epoch=True),
    "precision_at_5": Monitor(lambda scored: ranking.precision_at(scored.ranking, 5), every_epoch=True, labels=5),
    "precision_at_8": Monitor(lambda scored: ranking.precision_at(scored.ranking, 8), every_epoch=True, labels=8),
    "precision_at_15": Monitor(lambda scored: ranking.precision_at(scored.ranking, 15), every_epoch=True, labels=15),
    "r_precision": Monitor(lambda scored: ranking.r_precision(scored.ranking), every_epoch=True),
    "map": Monitor(lambda scored: ranking.mean_average_precision(scored.ranking), every_epoch=True),
    "auc_micro": Monitor(lambda scored: ranking.auc_micro(scored.gold, scored.scores)),
    "auc_macro": Monitor(lambda scored: ranking.auc_macro(scored.areas)),
    "mean_of_seven": Monitor(mean_of_seven, labels=15),
}


def epoch_metrics(labels: int) -> list[str]:
    """List the metrics that are computed after every epoch for a head with so many labels."""
    return [name for name, monitor in MONITORS.items() if monitor.every_epoch and monitor.labels <= labels]


def allowed(labels: int) -> list[str]:
    """List the metrics that a head with so many labels allows, and the loss, which needs no number of them."""
    return [name for name, monitor in MONITORS.items() if monitor.labels <= labels] + ["loss"]


def dev_metrics(gold: Gold, scores: np.ndarray, names: Sequence[str], macro_f1: MacroF1 = "caml") -> dict[str, float]:
    """Compute metrics on dev at the threshold 0.5.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 [documents, labels].
        names: keys of MONITORS. Only what they need is computed.
        macro_f1: the definition of f1_macro.

    Raises:
        UserError: a name is unknown, a metric needs more labels, or a score is not a probability.
    """
    if unknown := [name for name in names if name not in MONITORS]:
        raise UserError(f"metric '{unknown[0]}' is unknown; {nearest(unknown[0], MONITORS)}")
    scored = Scored(gold, scores, DEV_THRESHOLD, macro_f1)
    return {name: MONITORS[name].function(scored) for name in names}
