"""Metrics of the set of predicted codes, in the variants that the publications report.

Gold labels are a 0/1 matrix in the form of `dataset.binary_csr.as_binary_csr`. Scores are an array of probabilities.
Both are [documents, labels]. A code is predicted when its probability is above the threshold, not when it is equal. The
threshold is rounded to the precision of the scores first, so that `p > t` has the same result in NumPy, PyTorch and
Python. A ratio whose denominator is zero is 0.

The gold labels are never made dense, and the scores are read in blocks, so that 9,000 labels need little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import sparse

from medcode.errors import UserError

MacroF1 = Literal["caml", "per_label_all", "per_label_present"]
MACRO_F1: tuple[MacroF1, ...] = get_args(MacroF1)

BLOCK = 256  # documents (or labels) whose scores are worked on at a time


def check_scores(gold: sparse.csr_array, scores: np.ndarray) -> None:
    """Check that scores are probabilities, one per document and label.

    Raises:
        ValueError: the shapes differ.
        UserError: a score is not a probability; NaN comes from a diverged training.
    """
    if gold.shape != scores.shape:
        raise ValueError(f"gold is {gold.shape} and scores are {scores.shape}; both must be [documents, labels]")
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise UserError("scores: not all between 0 and 1; if the training diverged, lower the learning rate")


def blocks(length: int) -> Iterator[slice]:
    """Cut a range into slices of at most BLOCK."""
    return (slice(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK))


def ratio(numerator: np.ndarray | np.integer | float, denominator: np.ndarray | np.integer | float) -> np.ndarray:
    """Return the quotient; 0 where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator != 0)


def mean(values: np.ndarray, *, empty: float = 0.0) -> float:
    """Return the mean of the values; `empty` if there are none."""
    return float(np.mean(values)) if len(values) else empty


@dataclass(frozen=True)
class Counts:
    """True positives, predicted and gold, one number per label (or per document), int64."""

    true_positives: np.ndarray
    predicted: np.ndarray
    gold: np.ndarray

    def __getitem__(self, numbers: np.ndarray) -> Counts:
        """Return the counts of some of the labels (or documents)."""
        return Counts(self.true_positives[numbers], self.predicted[numbers], self.gold[numbers])


def counts(gold: sparse.csr_array, scores: np.ndarray, threshold: float) -> tuple[Counts, Counts]:
    """Return counts per label and per document.

    Args:
        gold: [documents, labels], as `as_binary_csr` returns it.
        scores: probabilities, [documents, labels].
        threshold: a code is predicted when its probability is above.

    Returns:
        The counts per label and the counts per document.
    """
    threshold = scores.dtype.type(threshold)
    by_label, by_document = np.zeros(gold.shape[1], np.int64), np.zeros(gold.shape[0], np.int64)
    for rows in blocks(gold.shape[0]):
        predicted = scores[rows] > threshold
        by_label += np.count_nonzero(predicted, axis=0)
        by_document[rows] = np.count_nonzero(predicted, axis=1)
    documents, labels = row_numbers(gold), gold.indices
    hits = scores[documents, labels] > threshold
    return (
        Counts(_tally(labels[hits], len(by_label)), by_label, _tally(labels, len(by_label))),
        Counts(_tally(documents[hits], len(by_document)), by_document, np.diff(gold.indptr).astype(np.int64)),
    )


def row_numbers(gold: sparse.csr_array) -> np.ndarray:
    """Return the document of every gold label, in the order of `gold.indices`."""
    return np.repeat(np.arange(gold.shape[0]), np.diff(gold.indptr))


def _tally(numbers: np.ndarray, length: int) -> np.ndarray:
    return np.bincount(numbers, minlength=length).astype(np.int64)


def precision_micro(labels: Counts) -> float:
    """Return the share of the predictions that are correct; 0 when nothing is predicted (caml's code gives NaN)."""
    return float(ratio(labels.true_positives.sum(), labels.predicted.sum()))


def recall_micro(labels: Counts, missed: int = 0) -> float:
    """Return the share of the gold codes that are predicted.

    Args:
        missed: number of gold codes outside the label set, counted as false negatives.
    """
    return float(ratio(labels.true_positives.sum(), labels.gold.sum() + missed))


def f1_micro(labels: Counts, missed: int = 0) -> float:
    """Return the harmonic mean of micro precision and micro recall, as 2 tp / (predicted + gold)."""
    return float(ratio(2 * labels.true_positives.sum(), labels.predicted.sum() + labels.gold.sum() + missed))


def precision_macro(labels: Counts) -> float:
    """Return the mean over all labels of the label's precision; a label never predicted counts 0."""
    return mean(ratio(labels.true_positives, labels.predicted))


def recall_macro(labels: Counts) -> float:
    """Return the mean over all labels of the label's recall; a label without gold counts 0."""
    return mean(ratio(labels.true_positives, labels.gold))


def f1_macro(labels: Counts, definition: MacroF1) -> float:
    """Return macro F1 in one of the literature's three definitions, whose values cannot be compared with each other.

    - `caml`: the harmonic mean of macro precision and macro recall, both over all labels. Mullenbach et al. (2018)
      and those who took their evaluation code: MultiResCNN, DCAN, MT-RAM, LAAT, PLM-ICD, Fusion.
    - `per_label_all`: the mean of the F1 of each label; a label without gold counts 0 (scikit-learn's macro average).
    - `per_label_present`: the same mean over the labels with a gold document only. Edin et al. (2023), JAMS.

    caml's code adds 1e-10 to every denominator; the value here is the limit, equal to about nine decimals.
    """
    if definition == "caml":
        precision, recall = precision_macro(labels), recall_macro(labels)
        return float(ratio(2 * precision * recall, precision + recall))
    per_label = ratio(2 * labels.true_positives, labels.predicted + labels.gold)
    return mean(per_label if definition == "per_label_all" else per_label[labels.gold > 0])


def jaccard_micro(labels: Counts) -> float:
    """Return tp / (tp + fp + fn) over all decisions; the publications that use caml's code call it accuracy."""
    hits = labels.true_positives.sum()
    return float(ratio(hits, labels.predicted.sum() + labels.gold.sum() - hits))


def jaccard_macro(labels: Counts) -> float:
    """Return the mean of tp / (tp + fp + fn) over all labels; one neither predicted nor gold counts 0, as in caml."""
    return mean(ratio(labels.true_positives, labels.predicted + labels.gold - labels.true_positives))


def exact_match(documents: Counts) -> float:
    """Return the share of documents whose predicted codes are exactly the gold codes.

    A document without gold codes matches when nothing is predicted. Edin et al. drop such documents.
    """
    is_exact = (documents.true_positives == documents.gold) & (documents.predicted == documents.gold)
    return mean(is_exact)
