"""All metrics of one head, nested so that `dvc metrics diff` reads well; and the few that training watches."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from medcode.config import Evaluation
from medcode.dataset.binary_csr import as_binary_csr
from medcode.errors import UserError, nearest
from medcode.evaluation import metrics, ranking
from medcode.evaluation.metrics import Counts, MacroF1
from medcode.evaluation.ranking import Ranking

Gold: TypeAlias = sparse.spmatrix | sparse.sparray | np.ndarray

# What the learning curve shows.
TRAINING_METRICS = (
    "f1_micro", "f1_macro", "precision_at_5", "precision_at_8", "precision_at_15",
    "r_precision", "map", "auc_micro", "auc_macro",
)  # fmt: skip
TRAINING_THRESHOLD = 0.5
# What JAMS' code selects the epoch by: the mean of these, with the macro F1 of Edin et al. whatever the headline is.
SEVEN = ("f1_macro", "f1_micro", "exact_match", "precision_at_8", "precision_at_15", "r_precision", "map")


def summarise(
    gold: Gold,
    scores: np.ndarray,
    train_counts: np.ndarray,
    tuned_threshold: float,
    options: Evaluation,
    outside: np.ndarray | None = None,
) -> dict[str, Any]:
    """Measures one head.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 [documents, labels].
        train_counts: training documents of each label, [labels].
        tuned_threshold: the threshold tuned on dev.
        options: the `evaluation` section of the parameters. A k above the number of labels is left out.
        outside: per document, the number of gold codes that are no label (never seen in training). Where there are
            any, recall and F1 that count them as missed are reported too.

    Returns:
        Sections auc, ranking, fixed, tuned and counts; NaN where a metric is undefined.

    Raises:
        UserError: a score is not a probability.
    """
    gold = as_binary_csr(gold)
    metrics.check_scores(gold, scores)
    missed = 0 if outside is None else int(np.sum(outside))
    areas = ranking.auc_per_label(gold, scores)
    usable = areas[~np.isnan(areas)]
    return {
        "auc": {
            "macro": float(usable.mean()) if len(usable) else float("nan"),
            "micro": ranking.auc_micro(gold, scores),
        },
        "ranking": _ranking(ranking.gold_ranks(gold, scores), options.at),
        "fixed": at_threshold(gold, scores, options.fixed_threshold, options.macro_f1, missed),
        "tuned": at_threshold(gold, scores, tuned_threshold, options.macro_f1, missed),
        "counts": _counts(gold, train_counts, len(usable), missed, outside),
    }


def _ranking(ranks: Ranking, at: Sequence[int]) -> dict[str, float]:
    at = [k for k in at if k <= ranks.labels]
    values = {f"precision_at_{k}": ranking.precision_at(ranks, k) for k in at}
    values |= {f"recall_at_{k}": ranking.recall_at(ranks, k) for k in at}
    return values | {"r_precision": ranking.r_precision(ranks), "map": ranking.mean_average_precision(ranks)}


def at_threshold(
    gold: sparse.csr_array, scores: np.ndarray, threshold: float, headline: MacroF1, missed: int = 0
) -> dict[str, Any]:
    """The metrics of the predicted set at one threshold.

    Args:
        headline: the definition that `f1.macro` takes; `macro_f1` has all three.
        missed: gold codes that are no label; when there are any, recall and F1 of all codes are added.
    """
    labels, documents = metrics.counts(gold, scores, threshold)
    values = {
        "threshold": float(threshold),
        "f1": {"macro": metrics.f1_macro(labels, headline), "micro": metrics.f1_micro(labels)},
        "macro_f1": {definition: metrics.f1_macro(labels, definition) for definition in metrics.MACRO_F1},
        "precision": {"macro": metrics.precision_macro(labels), "micro": metrics.precision_micro(labels)},
        "recall": {"macro": metrics.recall_macro(labels), "micro": metrics.recall_micro(labels)},
        "jaccard": {"macro": metrics.jaccard_macro(labels), "micro": metrics.jaccard_micro(labels)},
        "exact_match": metrics.exact_match(documents),
        "predicted_per_document": float(metrics.ratio(labels.predicted.sum(), len(documents.gold))),
    }
    if missed:
        values["f1_of_all_codes"] = metrics.f1_micro(labels, missed)
        values["recall_of_all_codes"] = metrics.recall_micro(labels, missed)
    return values


def _counts(
    gold: sparse.csr_array, train_counts: np.ndarray, with_auc: int, missed: int, outside: np.ndarray | None
) -> dict[str, Any]:
    documents, labels = gold.shape
    values = {
        "documents": documents,
        "documents_without_gold": int(np.count_nonzero(np.diff(gold.indptr) == 0)),
        "labels": labels,
        "labels_in_gold": len(np.unique(gold.indices)),
        "labels_with_auc": with_auc,
        "labels_not_in_training": int(np.count_nonzero(np.asarray(train_counts) == 0)),
        "gold": int(gold.nnz),
        "gold_per_document": float(metrics.ratio(gold.nnz, documents)),
    }
    if outside is not None:
        values["gold_outside_label_set"] = missed
    return values


def during_training(
    gold: Gold,
    scores: np.ndarray,
    names: Sequence[str] | None = None,
    macro_f1: MacroF1 = "caml",
) -> dict[str, float]:
    """Measures dev after an epoch, at the threshold 0.5.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 [documents, labels].
        names: which metrics, of TRAINING_METRICS, exact_match, mean_of_seven (of SEVEN, with per_label_present), or
            precision_at_k and recall_at_k with another k; what they do not need is not computed. None: all of
            TRAINING_METRICS that the number of labels allows.
        macro_f1: the definition of f1_macro.

    Raises:
        UserError: a name is unknown, a k is above the number of labels, or a score is not a probability.
    """
    gold = as_binary_csr(gold)
    metrics.check_scores(gold, scores)
    if names is None:
        names = [name for name in TRAINING_METRICS if (_k(name) or 0) <= gold.shape[1]]

    @functools.cache
    def counted() -> tuple[Counts, Counts]:
        return metrics.counts(gold, scores, TRAINING_THRESHOLD)

    @functools.cache
    def ranks() -> Ranking:
        return ranking.gold_ranks(gold, scores)

    def seven() -> float:
        macro = metrics.f1_macro(counted()[0], "per_label_present")
        return float(np.mean([macro if name == "f1_macro" else measure(name) for name in SEVEN]))

    measures: dict[str, Callable[[], float]] = {
        "f1_micro": lambda: metrics.f1_micro(counted()[0]),
        "f1_macro": lambda: metrics.f1_macro(counted()[0], macro_f1),
        "exact_match": lambda: metrics.exact_match(counted()[1]),
        "r_precision": lambda: ranking.r_precision(ranks()),
        "map": lambda: ranking.mean_average_precision(ranks()),
        "auc_micro": lambda: ranking.auc_micro(gold, scores),
        "auc_macro": lambda: ranking.auc_macro(gold, scores),
        "mean_of_seven": seven,
    }

    def measure(name: str) -> float:
        k = _k(name)
        if k is not None:
            return (ranking.precision_at if name.startswith("precision") else ranking.recall_at)(ranks(), k)
        if name not in measures:
            raise UserError(f"metric '{name}' is unknown; {nearest(name, measures)}")
        return measures[name]()

    return {name: measure(name) for name in names}


def _k(name: str) -> int | None:
    found = re.fullmatch(r"(?:precision|recall)_at_([1-9]\d*)", name)
    return int(found.group(1)) if found else None
