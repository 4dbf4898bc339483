"""Results of each code on test: counts, precision, recall, F1, AUC, and what is predicted where the code is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from medcode.dataset.binary_csr import as_binary_csr
from medcode.evaluation import seeds
from medcode.evaluation.decisions import decide
from medcode.evaluation.measurement import Predictions
from medcode.evaluation.metrics import blocks, ratio
from medcode.evaluation.ranking import auc_per_label
from medcode.evaluation.small_counts import SMALL, SUPPRESSED, Row, suppress

COLUMNS = (
    "head", "system", "code", "description", "train_documents", "gold", "predicted", "correct", "precision", "recall",
    "f1", "auc", "confusions",
)  # fmt: skip
CONFUSIONS = 3  # of a code, at most


@dataclass
class _Head:
    """What the seeds predicted of one head.

    Attributes:
        labels: system, code, description and train_documents of each.
        numbers: of each seed, gold, predicted, correct, precision, recall, f1 and auc of each label.
        missed: of each seed, gold labels that are not predicted, CSR [n, Y].
        wrong: of each seed, predicted labels that are not gold, CSR [n, Y].
    """

    labels: list[dict[str, Any]]
    numbers: list[list[Row]] = field(default_factory=list)
    missed: list[sparse.csr_array] = field(default_factory=list)
    wrong: list[sparse.csr_array] = field(default_factory=list)


class CodeTable:
    """The table of codes, from the predictions of one seed after another; every number is a mean over the seeds."""

    def __init__(self) -> None:
        self.heads: dict[str, _Head] = {}

    def add(self, predictions: Mapping[str, Predictions]) -> None:
        """Add a seed by its predictions on test, by head."""
        for name, of_head in predictions.items():
            head = self.heads.setdefault(name, _Head(of_head.labels))
            decided = decide(of_head)
            gold, predicted = as_binary_csr(decided.gold), as_binary_csr(decided.tuned)
            correct = gold * predicted
            head.numbers.append(_numbers(gold, predicted, correct, of_head.probabilities))
            head.missed.append(as_binary_csr(gold - correct))
            head.wrong.append(as_binary_csr(predicted - correct))

    def rows(self, *, restricted: bool) -> list[Row]:
        """Return a row with `COLUMNS` for each code at the threshold tuned on dev, those frequent in training first.

        A confusion is a code that was predicted in a note in which it is not gold, and in which the row's code was
        missed: gold, but not predicted. It is counted in notes; the cell has the `CONFUSIONS` most frequent.

        Args:
            restricted: whether to suppress small counts, as `suppress` does, and confusions below `SMALL`. Confusions
                then are of and with codes alone whose counts are all shown.
        """
        return [row for name, head in self.heads.items() for row in _rows(name, head, restricted)]


def _numbers(
    gold: sparse.csr_array, predicted: sparse.csr_array, correct: sparse.csr_array, probabilities: np.ndarray
) -> list[Row]:
    n_gold, n_predicted, n_correct = (matrix.sum(0, dtype=np.int64) for matrix in (gold, predicted, correct))
    columns = {
        "gold": n_gold,
        "predicted": n_predicted,
        "correct": n_correct,
        "precision": ratio(n_correct, n_predicted),
        "recall": ratio(n_correct, n_gold),
        "f1": ratio(2 * n_correct, n_predicted + n_gold),
        "auc": auc_per_label(gold, probabilities),
    }
    # An AUC that is undefined is None, by which `seeds.mean` goes.
    values = {name: [None if x != x else x for x in column.tolist()] for name, column in columns.items()}
    return [dict(zip(values, numbers, strict=True)) for numbers in zip(*values.values(), strict=True)]


def _rows(name: str, head: _Head, restricted: bool) -> list[Row]:
    texts = [{key: label[key] for key in ("system", "code", "description", "train_documents")} for label in head.labels]
    exact = [{"head": name, **text, **numbers} for text, numbers in zip(texts, seeds.mean(head.numbers), strict=True)]
    rows = [suppress(row) for row in exact] if restricted else exact
    shown = np.array([row["correct"] == numbers["correct"] for row, numbers in zip(rows, exact, strict=True)])
    confused = confusions(head.missed, head.wrong, shown, SMALL if restricted else 0)
    names = [f"{row['system']} {row['code']}" for row in rows]
    for row, pairs in zip(rows, confused, strict=True):
        row["confusions"] = "; ".join(f"{names[label]} ({count:.4g})" for label, count in pairs)
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[float, str, str]:
    """Sort by what is written, so that the place of a suppressed count does not tell it."""
    count = row["train_documents"]
    return 0.5 - SMALL if count == SUPPRESSED else -count, row["system"], row["code"]


def confusions(
    missed: Sequence[sparse.csr_array], wrong: Sequence[sparse.csr_array], shown: np.ndarray, least: float = 0
) -> list[list[tuple[int, float]]]:
    """Return, for each label, the labels that are most often predicted wrong where it is missed.

    Args:
        missed: of each seed, gold labels that are not predicted, CSR [n, Y].
        wrong: of each seed, predicted labels that are not gold, CSR [n, Y].
        shown: labels that may be named and have confusions, bool [Y].
        least: the smallest count that is returned.

    Returns:
        Up to `CONFUSIONS` pairs each: number of a label, and of documents, a mean over the seeds. The highest count
        first; among equals the lower number.
    """
    kept = sparse.diags_array(shown, format="csr", dtype=np.int64)
    missed_by_label = sparse.csr_array(sparse.vstack(missed) @ kept).T.tocsr()
    wrong_by_document = sparse.csr_array(sparse.vstack(wrong) @ kept)
    pairs: list[list[tuple[int, float]]] = []
    for rows in blocks(len(shown)):  # the whole product may have as many entries as pairs of labels
        together = sparse.csr_array(missed_by_label[rows] @ wrong_by_document)
        for start, end in zip(together.indptr, together.indptr[1:], strict=False):
            labels, counts = together.indices[start:end], together.data[start:end] / len(missed)
            best = np.lexsort((labels, -counts))[:CONFUSIONS]
            pairs.append([(int(labels[i]), float(counts[i])) for i in best if counts[i] >= max(least, 1e-9)])
    return pairs
