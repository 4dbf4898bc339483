"""Whether two rows of a study differ by more than chance: paired bootstrap over documents, McNemar over decisions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import binomtest

from medcode.evaluation.metrics import MacroF1, ratio
from medcode.studies.results.predictions import Decisions

RESAMPLES = 10_000
BLOCK = 200  # resamples at a time
INTERVAL = 0.95


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between two rows: second minus first.

    Attributes:
        observed: on test, a mean over seeds.
        low: lower end of the bootstrap interval of 95 %.
        high: upper end.
        p: two-sided, that there is none.
    """

    observed: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Disagreement:
    """Decisions on which two rows disagree: right in the first only, right in the second only; p two-sided.

    The numbers are means over the seeds, so that more seeds do not pass for more decisions.
    """

    first_right: int
    second_right: int
    p: float


def align(first: Sequence[Decisions], second: Sequence[Decisions]) -> tuple[list[Decisions], list[Decisions]]:
    """Return the decisions on the documents and codes that all trainings have, in one order.

    Raises:
        ValueError: they have none in common.
    """
    everything = [*first, *second]
    documents = _common([decisions.documents for decisions in everything])
    codes = _common([decisions.codes for decisions in everything])
    if not len(documents) or not len(codes):
        raise ValueError("the rows have no test document or no code in common")
    aligned = [_chosen(decisions, documents, codes) for decisions in everything]
    return aligned[: len(first)], aligned[len(first) :]


def _common(lists: list[np.ndarray]) -> np.ndarray:
    common = lists[0]
    for other in lists[1:]:
        common = common[np.isin(common, other)]
    return common


def _chosen(decisions: Decisions, documents: np.ndarray, codes: np.ndarray) -> Decisions:
    if np.array_equal(decisions.documents, documents) and np.array_equal(decisions.codes, codes):
        return decisions
    rows, columns = _places(decisions.documents, documents), _places(decisions.codes, codes)
    matrices = [matrix[rows][:, columns] for matrix in (decisions.gold, decisions.fixed, decisions.tuned)]
    return Decisions(documents, codes, *matrices, decisions.train_counts[columns])


def _places(all_of: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(all_of)
    return order[np.searchsorted(all_of, wanted, sorter=order)]


def bootstrap(
    first: Sequence[Decisions],
    second: Sequence[Decisions],
    threshold: str,
    macro: MacroF1 | None,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> Difference:
    """Return the paired bootstrap of a difference: test documents are drawn with replacement, the same for both rows.

    Args:
        first: one per seed, aligned.
        second: one per seed, aligned.
        threshold: fixed or tuned.
        macro: the definition of macro F1, or None for micro F1.
        resamples: how many times.
        seed: of the draws.
    """
    measure = _micro if macro is None else _macro(macro)
    parts = [[_counted(decisions, threshold, micro=macro is None) for decisions in side] for side in (first, second)]
    gold = sparse.csr_array(first[0].gold.sum(1)[:, None]) if macro is None else first[0].gold
    documents = gold.shape[0]
    random = np.random.default_rng(seed)

    def difference(weights: np.ndarray) -> np.ndarray:
        truth = _weighted(weights, gold)
        one, other = (
            np.mean([measure(_weighted(weights, tp), _weighted(weights, made), truth) for tp, made in side], axis=0)
            for side in parts
        )
        return other - one

    observed = float(difference(np.ones((1, documents)))[0])
    resampled = np.concatenate(
        [
            difference(random.multinomial(documents, np.full(documents, 1 / documents), size=size).astype(np.float64))
            for size in np.diff([*range(0, resamples, BLOCK), resamples])
        ]
    )
    # The observed one counts among them, so that no p is 0.
    tails = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    low, high = np.quantile(resampled, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Difference(observed, float(low), float(high), min(1.0, 2 * (tails + 1) / (resamples + 1)))


def floor(comparisons: int, resamples: int = RESAMPLES) -> float:
    """Return the smallest p that the bootstrap can give, after Holm's correction for so many comparisons."""
    return min(1.0, comparisons * 2 / (resamples + 1))


def _counted(decisions: Decisions, threshold: str, *, micro: bool) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return true positives and predictions, [n, Y], or [n, 1] for micro F1."""
    predicted = decisions.predicted(threshold)
    matrices = (decisions.gold * predicted, predicted)
    return tuple(sparse.csr_array(m.sum(1)[:, None]) if micro else sparse.csr_array(m) for m in matrices)


def _weighted(weights: np.ndarray, matrix: sparse.csr_array) -> np.ndarray:
    return (matrix.astype(np.float64).T @ weights.T).T  # [resamples, Y or 1]


def _micro(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return ratio(2 * hits.sum(1), predicted.sum(1) + gold.sum(1))


def _macro(definition: MacroF1) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    def caml(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
        precision, recall = ratio(hits, predicted).mean(1), ratio(hits, gold).mean(1)
        return ratio(2 * precision * recall, precision + recall)

    def per_label(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
        each = ratio(2 * hits, predicted + gold)
        present = gold > 0 if definition == "per_label_present" else np.ones_like(gold, bool)
        return ratio((each * present).sum(1), present.sum(1))

    return caml if definition == "caml" else per_label


def mcnemar(first: Sequence[Decisions], second: Sequence[Decisions], threshold: str) -> Disagreement:
    """Return McNemar's exact test over all decisions, document by code, seed by seed.

    Decisions about one document are not independent, so that p is too small where documents differ much; the
    bootstrap over documents has no such fault.
    """
    right_first, right_second = [], []
    for one, other in zip(first, second, strict=False):
        a, b, gold = one.predicted(threshold), other.predicted(threshold), one.gold
        only_a, only_b = a - a * b, b - a * b
        right_first.append((only_a * gold).sum() + only_b.sum() - (only_b * gold).sum())
        right_second.append((only_b * gold).sum() + only_a.sum() - (only_a * gold).sum())
    b, c = round(float(np.mean(right_first))), round(float(np.mean(right_second)))
    return Disagreement(b, c, binomtest(b, b + c).pvalue if b + c else 1.0)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979); NaN stays, and does not count."""
    defined = [i for i, p in enumerate(values) if not math.isnan(p)]
    corrected, highest = list(values), 0.0
    for rank, i in enumerate(sorted(defined, key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(defined) - rank) * values[i]))
        corrected[i] = highest
    return corrected
