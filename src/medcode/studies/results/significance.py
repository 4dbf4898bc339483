"""Significance of differences between two rows: paired bootstrap over documents, McNemar over decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from scipy.stats import binomtest

from medcode.evaluation.bootstrap import document_weights, f1_macro, f1_micro, interval, weighted
from medcode.evaluation.decisions import Decisions
from medcode.evaluation.metrics import MacroF1

RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between two rows: second minus first.

    Attributes:
        observed: difference on test, a mean over seeds.
        low: lower end of the bootstrap interval of 95 %.
        high: upper end of the interval.
        p: two-sided p value of no difference.
    """

    observed: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Disagreement:
    """Numbers of decisions that only the first row and only the second row got right, and the two-sided p value.

    The numbers are means over the seeds, so that more seeds do not count as more decisions.
    """

    first_right: int
    second_right: int
    p: float


def align(first: Sequence[Decisions], second: Sequence[Decisions]) -> tuple[list[Decisions], list[Decisions]]:
    """Return the decisions on the documents and codes that all trainings share, in the same order.

    Raises:
        ValueError: the trainings share no document or no code.
    """
    all_decisions = [*first, *second]
    documents = _common([decisions.documents for decisions in all_decisions])
    codes = _common([decisions.codes for decisions in all_decisions])
    if not len(documents) or not len(codes):
        raise ValueError("the rows have no test document or no code in common")
    aligned = [_subset(decisions, documents, codes) for decisions in all_decisions]
    return aligned[: len(first)], aligned[len(first) :]


def _common(lists: list[np.ndarray]) -> np.ndarray:
    common = lists[0]
    for values in lists[1:]:
        common = common[np.isin(common, values)]
    return common


def _subset(decisions: Decisions, documents: np.ndarray, codes: np.ndarray) -> Decisions:
    if np.array_equal(decisions.documents, documents) and np.array_equal(decisions.codes, codes):
        return decisions
    rows, columns = _indices_of(decisions.documents, documents), _indices_of(decisions.codes, codes)
    matrices = [matrix[rows][:, columns] for matrix in (decisions.gold, decisions.fixed, decisions.tuned)]
    return Decisions(documents, codes, *matrices, decisions.train_counts[columns])


def _indices_of(values: np.ndarray, queries: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    return order[np.searchsorted(values, queries, sorter=order)]


def bootstrap(
    first: Sequence[Decisions],
    second: Sequence[Decisions],
    threshold: str,
    macro: MacroF1 | None,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> Difference:
    """Compute a difference's paired bootstrap: test documents are sampled with replacement, the same for both rows.

    Args:
        first: decisions of the first row, one per seed, aligned.
        second: decisions of the second row, one per seed, aligned.
        threshold: fixed or tuned.
        macro: the definition of macro F1, or None for micro F1.
        resamples: number of resamples.
        seed: seed of the sampling.
    """
    measure = f1_micro if macro is None else partial(f1_macro, definition=macro)
    parts = [[_counted(decisions, threshold, micro=macro is None) for decisions in side] for side in (first, second)]
    gold = sparse.csr_array(first[0].gold.sum(1)[:, None]) if macro is None else first[0].gold
    documents = gold.shape[0]

    def difference(weights: np.ndarray) -> np.ndarray:
        truth = weighted(weights, gold)
        first_metric, second_metric = (
            np.mean(
                [measure(weighted(weights, tp), weighted(weights, predicted), truth) for tp, predicted in side], axis=0
            )
            for side in parts
        )
        return second_metric - first_metric

    observed = float(difference(np.ones((1, documents)))[0])
    resampled = np.concatenate([difference(weights) for weights in document_weights(documents, resamples, seed)])
    # The observed difference counts as a resample, so that no p is 0.
    tails = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    low, high = interval(resampled)
    return Difference(observed, low, high, min(1.0, 2 * (tails + 1) / (resamples + 1)))


def floor(comparisons: int, resamples: int = RESAMPLES) -> float:
    """Return the smallest p that the bootstrap can give after Holm's correction for this number of comparisons."""
    return min(1.0, comparisons * 2 / (resamples + 1))


def _counted(decisions: Decisions, threshold: str, *, micro: bool) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return true positives and predictions: [n, Y], or [n, 1] for micro F1."""
    predicted = decisions.predicted(threshold)
    matrices = (decisions.gold * predicted, predicted)
    return tuple(sparse.csr_array(m.sum(1)[:, None]) if micro else sparse.csr_array(m) for m in matrices)


def mcnemar(first: Sequence[Decisions], second: Sequence[Decisions], threshold: str) -> Disagreement:
    """Compute McNemar's exact test over all decisions (document and code), averaged over seeds.

    Decisions about one document are not independent, so p is too small if documents differ much. The bootstrap over
    documents does not have this problem.
    """
    right_first, right_second = [], []
    for first_decisions, second_decisions in zip(first, second, strict=False):
        a, b = first_decisions.predicted(threshold), second_decisions.predicted(threshold)
        gold = first_decisions.gold
        only_a, only_b = a - a * b, b - a * b
        right_first.append((only_a * gold).sum() + only_b.sum() - (only_b * gold).sum())
        right_second.append((only_b * gold).sum() + only_a.sum() - (only_a * gold).sum())
    b, c = round(float(np.mean(right_first))), round(float(np.mean(right_second)))
    return Disagreement(b, c, binomtest(b, b + c).pvalue if b + c else 1.0)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979); NaN stays NaN and does not count."""
    defined = [i for i, p in enumerate(values) if not math.isnan(p)]
    corrected, highest = list(values), 0.0
    for rank, i in enumerate(sorted(defined, key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(defined) - rank) * values[i]))
        corrected[i] = highest
    return corrected
