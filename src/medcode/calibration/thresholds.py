"""A threshold for each code, chosen on dev and drawn towards the one for all codes where a code is rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from medcode.evaluation.metrics import Counts, counts, f1_macro, f1_micro
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference.calibration import log_odds

FOLDS = 5
GRID = 100  # thresholds for all codes that are tried in a fold
# Documents of dev that the threshold for all codes counts for. Infinitely many leave every code with it.
STRENGTHS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, np.inf)


@dataclass(frozen=True)
class CodeThresholds:
    """Thresholds of codes, and how they were chosen.

    Attributes:
        values: of each label, for the model's own probabilities, float64 [Y].
        strength: of the pull towards the threshold for all codes, of `STRENGTHS`.
        f1: cross-fitted micro and macro F1 on dev, by strength.
    """

    values: np.ndarray
    strength: float
    f1: dict[float, tuple[float, float]]


def choose(gold: sparse.csr_array, probabilities: np.ndarray, threshold: float) -> CodeThresholds:
    """Choose the thresholds of codes, with the strength that does best on documents that chose no threshold.

    The strength is that with the best sum of micro and macro F1, the largest of equals. Micro F1 alone would leave the
    rare codes as they are, which thresholds of their own are for. Macro F1 is over codes with a gold document in dev.

    Args:
        gold: 0/1 of dev, [n, Y].
        probabilities: the model's own on dev, float32 [n, Y].
        threshold: for all codes, tuned on dev.
    """
    n, labels = gold.shape
    if gold.nnz == 0 or n < FOLDS:
        return CodeThresholds(np.full(labels, threshold), np.inf, {})
    fold, logits = np.arange(n) % FOLDS, log_odds(probabilities)
    tallies = {strength: np.zeros((2, labels), np.int64) for strength in STRENGTHS}
    for held_out in range(FOLDS):
        kept, left = fold != held_out, fold == held_out
        of_all = tune_threshold(gold[kept], probabilities[kept], GRID) if gold[kept].nnz else threshold
        best = best_thresholds(gold[kept], logits[kept], of_all)
        for strength, tally in tallies.items():
            decided = probabilities[left] > shrunk(*best, of_all, strength).astype(probabilities.dtype)
            of_labels, _ = counts(gold[left], decided.astype(np.float32), 0.5)
            tally += np.stack([of_labels.true_positives, of_labels.predicted])
    in_dev = np.bincount(gold.indices, minlength=labels)
    f1 = {strength: _f1(Counts(tally[0], tally[1], in_dev)) for strength, tally in tallies.items()}
    strength = max(STRENGTHS, key=lambda strength: (sum(f1[strength]), strength))
    return CodeThresholds(shrunk(*best_thresholds(gold, logits, threshold), threshold, strength), strength, f1)


def _f1(labels: Counts) -> tuple[float, float]:
    return f1_micro(labels), f1_macro(labels, "per_label_present")


def shrunk(best: np.ndarray, positives: np.ndarray, threshold: float, strength: float) -> np.ndarray:
    """Return the mean of each code's best threshold and the one for all, on the logit scale, as probabilities [Y].

    The weight of the best one is the number of the code's gold documents, that of the other the strength: as the mean
    of a posterior whose prior is worth so many documents.

    Args:
        best: logits [Y].
        positives: gold documents of each label [Y]. A label without any has the threshold for all.
        threshold: for all codes.
        strength: 0 gives each code its best threshold, infinity that for all.
    """
    values = np.full(len(best), threshold, np.float64)
    if np.isinf(strength):
        return values
    own = np.flatnonzero(positives)
    weights = positives[own] / (positives[own] + strength)
    logits = weights * best[own] + (1 - weights) * _logit(threshold)
    moved = best[own] != _logit(threshold)
    values[own[moved]] = np.exp(-np.logaddexp(0, -logits[moved]))
    return values


def best_thresholds(gold: sparse.csr_array, logits: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the threshold of each code with its best F1, as a logit, and its number of gold documents, both [Y].

    Among equals it is the one nearest to the threshold for all codes: that itself where no other does better, else the
    middle between two neighboring scores.

    Args:
        gold: 0/1, [n, Y].
        logits: float64 [n, Y].
        threshold: for all codes, a probability.
    """
    of_all, by_label = _logit(threshold), sparse.csc_array(gold)
    positives = np.diff(by_label.indptr)
    best = np.full(gold.shape[1], of_all)
    for label in np.flatnonzero(positives):
        is_gold = np.zeros(gold.shape[0], bool)
        is_gold[by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]] = True
        best[label] = _best_threshold(is_gold, logits[:, label], of_all)
    return best, positives


def _logit(threshold: float) -> float:
    """Return the logit of a threshold as it is compared with scores: rounded to float32."""
    return float(log_odds(np.array(threshold, np.float32)))


def _best_threshold(is_gold: np.ndarray, logits: np.ndarray, of_all: float) -> float:
    order = np.argsort(-logits, kind="stable")
    scores, hits = logits[order], np.cumsum(is_gold[order])
    ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))  # of documents with equal scores
    f1 = 2 * hits[ends] / (ends + 1 + hits[-1])
    next_scores = np.append(scores, -np.inf)[ends + 1]
    is_best = f1 == f1.max()
    upper, lower = scores[ends][is_best], next_scores[is_best]
    # Predicted are the scores above the threshold.
    middles = (np.where(np.isinf(lower), upper - 1, lower) + upper) / 2
    middles = np.where((lower <= of_all) & (of_all < upper), of_all, middles)
    return float(middles[np.argmin(np.abs(middles - of_all))])
