"""Metrics that need no threshold: the ranking of the codes within a document, and the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from medcode.errors import UserError
from medcode.evaluation.metrics import blocks, mean, ratio, row_numbers


@dataclass(frozen=True)
class Ranking:
    """Ranks of the gold labels, from which all ranking metrics are computed.

    Attributes:
        ranks: 1 for the label with the highest score of its document; ascending within a document, int64.
        documents: the document of each rank, ascending.
        gold: number of gold labels per document.
        labels: number of ranked labels.
    """

    ranks: np.ndarray
    documents: np.ndarray
    gold: np.ndarray
    labels: int


def gold_ranks(gold: sparse.csr_array, scores: np.ndarray) -> Ranking:
    """Rank the labels of each document by score and keep the ranks of the gold ones.

    Among equal scores the later column comes first. This is the order of caml's code (an ascending argsort, reversed)
    with a stable sort in place of its unstable one.
    """
    ranks = np.empty(gold.nnz, np.int64)
    for rows in blocks(gold.shape[0]):
        ordered = np.sort(scores[rows], axis=1)
        for document in range(rows.start, rows.stop):
            row = slice(gold.indptr[document], gold.indptr[document + 1])
            ranks[row] = np.sort(_ranks(scores[document], ordered[document - rows.start], gold.indices[row]))
    return Ranking(ranks, row_numbers(gold), np.diff(gold.indptr), gold.shape[1])


def _ranks(scores: np.ndarray, ordered: np.ndarray, labels: np.ndarray) -> np.ndarray:
    label_scores = scores[labels]
    not_below = len(ordered) - np.searchsorted(ordered, label_scores, side="left")
    above = len(ordered) - np.searchsorted(ordered, label_scores, side="right")
    ranks = above + 1
    for tied in np.flatnonzero(not_below - above > 1):
        ranks[tied] += np.count_nonzero(scores[labels[tied] + 1 :] == label_scores[tied])
    return ranks


def precision_at(ranking: Ranking, k: int) -> float:
    """Return the share of gold labels among the k best, a mean over documents. A document without gold counts 0.

    Raises:
        UserError: there are fewer than k labels, so no document can have k predictions.
    """
    _check_k(ranking, k)
    return float(ratio(np.count_nonzero(ranking.ranks <= k), k * len(ranking.gold)))


def recall_at(ranking: Ranking, k: int) -> float:
    """Return the mean over all documents of the share of the gold labels that are among the k best.

    A document without gold counts 0, as in caml's code.

    Raises:
        UserError: there are fewer than k labels.
    """
    _check_k(ranking, k)
    return mean(ratio(_per_document(ranking, ranking.ranks <= k), ranking.gold))


def r_precision(ranking: Ranking) -> float:
    """Return the mean over documents of the precision at k, with k the number of gold labels of the document.

    Documents without gold are skipped: it is undefined for them, and Edin et al. (2023) drop them too.
    """
    hits = _per_document(ranking, ranking.ranks <= ranking.gold[ranking.documents])
    has_gold = ranking.gold > 0
    return mean(hits[has_gold] / ranking.gold[has_gold])


def mean_average_precision(ranking: Ranking) -> float:
    """Return the average precision over the full ranking, a mean over documents. Those without gold are skipped."""
    has_gold = ranking.gold > 0
    return mean(precision_sums(ranking)[has_gold] / ranking.gold[has_gold])


def precision_sums(ranking: Ranking, depth: int | None = None) -> np.ndarray:
    """Return, for each document, the sum of the precisions at the ranks of its gold labels, float64 [documents].

    Args:
        depth: the number of ranks that count; None for all.
    """
    starts = np.cumsum(ranking.gold) - ranking.gold
    hits = np.arange(len(ranking.ranks)) - starts[ranking.documents] + 1  # gold labels up to each rank
    counts = True if depth is None else ranking.ranks <= depth
    return _per_document(ranking, hits / ranking.ranks * counts)


def _per_document(ranking: Ranking, values: np.ndarray) -> np.ndarray:
    return np.bincount(ranking.documents, weights=values, minlength=len(ranking.gold))


def _check_k(ranking: Ranking, k: int) -> None:
    if k > ranking.labels:
        raise UserError(f"precision and recall at {k}: there are only {ranking.labels} labels; choose a smaller k")


def auc_per_label(gold: sparse.csr_array, scores: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each label, float64 [labels].

    NaN where it is undefined: the label is gold in no document, or in all of them.
    """
    by_label = gold.tocsc()
    positives = np.diff(by_label.indptr)
    areas = np.full(gold.shape[1], np.nan)
    usable = np.flatnonzero((positives > 0) & (positives < gold.shape[0]))
    for block in blocks(len(usable)):
        columns = np.ascontiguousarray(scores[:, usable[block]].T)
        ordered = np.sort(columns, axis=1)
        for number, label in enumerate(usable[block]):
            documents = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
            areas[label] = _area(ordered[number], columns[number, documents])
    return areas


def auc_macro(areas: np.ndarray) -> float:
    """Return the mean of the labels' areas. Labels gold in no document or in all are skipped; NaN if none remains.

    Args:
        areas: as `auc_per_label` returns them.
    """
    return mean(areas[~np.isnan(areas)], empty=float("nan"))


def auc_micro(gold: sparse.csr_array, scores: np.ndarray) -> float:
    """Return the area under the ROC curve of all decisions, absent labels included; NaN without both classes."""
    if gold.nnz in (0, scores.size):
        return float("nan")
    return _area(np.sort(scores, axis=None), scores[row_numbers(gold), gold.indices])


def _area(ordered: np.ndarray, positive: np.ndarray) -> float:
    """Return the area as Mann-Whitney do: the share of pairs in which the positive scores higher; ties count half."""
    below = np.searchsorted(ordered, positive, side="left").sum()
    not_above = np.searchsorted(ordered, positive, side="right").sum()
    pairs = len(positive) * (len(ordered) - len(positive))
    return (int(below) + int(not_above) - len(positive) ** 2) / (2 * pairs)
