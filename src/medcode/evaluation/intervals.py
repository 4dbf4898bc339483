"""Confidence intervals of the headline metrics on test: percentile bootstrap over its documents (Efron 1979).

Model and thresholds stay as they are, so an interval says how the metric depends on the documents that test happens to
have, not how it depends on the training or the hospital.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import sparse

from medcode.config import Evaluation
from medcode.dataset.binary_csr import as_binary_csr
from medcode.evaluation import bootstrap
from medcode.evaluation.bootstrap import RESAMPLES
from medcode.evaluation.measured_labels import measured
from medcode.evaluation.measurement import Predictions
from medcode.evaluation.metrics import ratio
from medcode.evaluation.ranking import Ranking, gold_ranks, precision_sums

SEED = 1
AUC_LIMIT = 2e9  # documents times labels times resamples, about 10 seconds; above it there is no interval of AUC
# A code that a resample lacks counts 0 in macro F1. If that is the fate of more than this share of the codes in test,
# resamples lie below the metric itself, and there is no interval.
LACKING = 0.01

Resampled = Callable[[np.ndarray], np.ndarray]  # weights [resamples, n] to the metric [resamples]


class Intervals:
    """The intervals of all heads, from the predictions of one seed after another.

    All metrics, and all seeds, share their resamples. In each resample a metric is the mean over the seeds.

    Args:
        options: how to evaluate.
        resamples: number of resamples.
    """

    def __init__(self, options: Evaluation, resamples: int = RESAMPLES) -> None:
        self.options, self.resamples = options, resamples
        self.of_seeds: dict[str, list[dict[str, np.ndarray]]] = {}

    def add(self, predictions: Mapping[str, Predictions]) -> None:
        """Add a seed by its predictions on test, by head."""
        for head, of_head in predictions.items():
            self.of_seeds.setdefault(head, []).append(resampled(of_head, self.options, self.resamples))

    def values(self) -> dict[str, dict[str, list[float]]]:
        """Return both ends of each interval: {head: {dotted path of a metric in test.json: [low, high]}}."""
        return {
            head: {path: list(bootstrap.interval(np.mean([seed[path] for seed in seeds], axis=0))) for path in seeds[0]}
            for head, seeds in self.of_seeds.items()
        }


def resampled(predictions: Predictions, options: Evaluation, resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """Return the metrics of one head in every resample, float64 [resamples], by dotted path in test.json.

    The metrics are micro F1, macro F1 (headline definition), precision at k, MAP and macro AUC, as `metric_table` has
    them. With `labels: present` the measured labels are those of test itself in every resample. Left out are AUC above
    `AUC_LIMIT`, and macro F1 where resamples would lack too many codes, see `LACKING`; all, if test has no gold code.
    """
    whole = as_binary_csr(predictions.gold)
    if not whole.nnz:
        return {}
    gold, scores = measured(whole, predictions.probabilities, options)
    gold = as_binary_csr(gold)
    documents = np.flatnonzero(np.diff(whole.indptr)) if options.labels == "present" else np.arange(whole.shape[0])
    functions: dict[str, Resampled] = {}
    for section, threshold in (("fixed", predictions.fixed_threshold), ("tuned", predictions.tuned_threshold)):
        for key, function in _f1(gold, scores, threshold, options).items():
            functions[f"{section}.{key}"] = function
    functions |= {f"ranking.{key}": function for key, function in _ranking(gold_ranks(gold, scores), options).items()}
    values: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    with_auc = whole.shape[0] * whole.shape[1] * resamples <= AUC_LIMIT
    areas = []
    for weights in bootstrap.document_weights(whole.shape[0], resamples, SEED):
        for name, function in functions.items():
            values[name].append(function(weights[:, documents]))
        areas += [auc_macro(whole, predictions.probabilities, weights)] if with_auc else []
    result = {name: np.concatenate(blocks) for name, blocks in values.items()}
    # Where AUC is defined depends on gold alone, so all seeds have the same resamples left.
    if with_auc and (defined := ~np.isnan(auc := np.concatenate(areas))).any():
        result["auc.macro"] = auc[defined]
    return result


def _f1(gold: sparse.csr_array, scores: np.ndarray, threshold: float, options: Evaluation) -> dict[str, Resampled]:
    predicted = sparse.csr_array(scores > scores.dtype.type(threshold), dtype=np.uint8)
    counts = (gold * predicted, predicted, gold)
    in_document = [matrix.sum(1, dtype=np.float64)[:, None] for matrix in counts]
    functions: dict[str, Resampled] = {
        "f1.micro": lambda weights: bootstrap.f1_micro(*(weights @ numbers for numbers in in_document))
    }

    def macro(weights: np.ndarray) -> np.ndarray:
        true_positives, n_predicted, n_gold = (bootstrap.weighted(weights, matrix) for matrix in counts)
        return bootstrap.f1_macro(true_positives, n_predicted, n_gold, options.macro_f1)

    if options.macro_f1 == "per_label_present" or share_lacking(gold) <= LACKING:
        functions["f1.macro"] = macro
    return functions


def share_lacking(gold: sparse.csr_array) -> float:
    """Return the share of the codes in test that a resample is expected to have in none of its documents."""
    documents = gold.shape[0]
    positives = np.bincount(gold.indices, minlength=gold.shape[1])
    positives = positives[positives > 0]
    return float(np.mean((1 - positives / documents) ** documents)) if len(positives) else 0.0


def _ranking(ranking: Ranking, options: Evaluation) -> dict[str, Resampled]:
    def precision(k: int) -> Resampled:
        hits = np.bincount(ranking.documents[ranking.ranks <= k], minlength=len(ranking.gold))
        return lambda weights: ratio(weights @ hits, k * weights.sum(1))

    has_gold, sums = ranking.gold > 0, precision_sums(ranking)
    average = ratio(sums, ranking.gold)
    functions = {f"precision_at_{k}": precision(k) for k in options.at if k <= ranking.labels}
    functions["map"] = lambda weights: ratio(weights @ average, weights[:, has_gold].sum(1))
    return functions


def auc_macro(gold: sparse.csr_array, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the macro AUC of each resample, as `ranking.auc_macro`; NaN where no label has both classes.

    Args:
        gold: 0/1, canonical CSR [n, Y].
        scores: probabilities [n, Y].
        weights: how often each document is in each resample [resamples, n].
    """
    by_label, by_document = gold.tocsc(), np.ascontiguousarray(weights.T)
    n, total, defined = len(scores), np.zeros(len(weights)), np.zeros(len(weights))
    for label, positives in enumerate(np.diff(by_label.indptr)):
        if not 0 < positives < n:
            continue
        order = np.argsort(scores[:, label], kind="stable")
        ordered = scores[order, label]
        is_gold = np.zeros(n, bool)
        is_gold[by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]] = True
        is_gold = is_gold[order]
        drawn = by_document[order]
        of_gold = drawn[is_gold]
        # Negative documents up to each place; a pair of equal scores counts half.
        drawn[is_gold] = 0
        negatives = np.concatenate([np.zeros((1, len(weights))), np.cumsum(drawn, axis=0)])
        below, not_above = (np.searchsorted(ordered, ordered[is_gold], side=side) for side in ("left", "right"))
        area = (of_gold * (negatives[below] + negatives[not_above])).sum(0)
        pairs = 2 * of_gold.sum(0) * negatives[-1]
        total += ratio(area, pairs)
        defined += pairs > 0
    return np.divide(total, defined, out=np.full(len(weights), np.nan), where=defined > 0)
