"""Measures of a scorer: the official ones with unseen codes, and the recall of unseen gold codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medcode.dataset.arrays import Inputs
from medcode.evaluation import official
from medcode.evaluation.summary import official_metrics
from medcode.open_codes import folder
from medcode.open_codes.build import texts_of
from medcode.open_codes.codes import CodeList
from medcode.open_codes.scorer import OpenScorer, Scores

RECALL_AT = (10, 100)
OTHER = -1  # a gold code that is neither a label nor scored


def gold_unseen(codes: CodeList, gold: pd.DataFrame, documents: Sequence[str]) -> list[list[int]]:
    """Return the numbers of each document's gold codes that are no label; `OTHER` for one without a number.

    Args:
        codes: the codes.
        gold: admission_id, system, code.
        documents: admissions [n].
    """
    systems = {system for system, _ in codes.codes}
    of_document: dict[str, list[int]] = {document: [] for document in documents}
    for row in gold[gold["admission_id"].isin(documents) & gold["system"].isin(systems)].itertuples():
        number = codes.number.get((row.system, row.code), OTHER)
        if not 0 <= number < codes.n_labels:
            of_document[row.admission_id].append(number)
    return list(of_document.values())


def scored_documents(
    scorer: OpenScorer, scores: Scores, documents: Sequence[str], gold: Sequence[Sequence[int]]
) -> official.ScoredDocuments:
    """Return scores as the official measures take them; without unseen codes if the scorer leaves them out."""
    candidates = {
        system: official.Candidates(_is_gold(numbers, gold), scores.unseen[system])
        for system, numbers in scores.numbers.items()
        if scorer.scores_unseen(system)
    }
    return official.ScoredDocuments(list(documents), scores.labels, candidates)


def score_documents(
    scorer: OpenScorer,
    notes: Path,
    documents: Sequence[str],
    probabilities: np.ndarray,
    gold: pd.DataFrame,
    *,
    of_dev: bool,
) -> tuple[official.ScoredDocuments, dict[str, list[list[str]]]]:
    """Score documents of a split.

    Args:
        scorer: of the label set open.
        notes: notes.parquet.
        documents: admissions [n].
        probabilities: the models', of the labels, float32 [n, Y].
        gold: admission_id, system, code; every gold code.
        of_dev: whether they are dev, in its order.

    Returns:
        Scores as the official measures take them; the codes of the candidates of each document, by system.

    Raises:
        UserError: notes.parquet cannot be read.
    """
    codes = scorer.retriever.codes
    scores = scorer.score(texts_of(notes, documents).values(), probabilities, of_dev=of_dev)
    scored = scored_documents(scorer, scores, documents, gold_unseen(codes, gold, documents))
    names = {
        system: [[codes.codes[number][1] for number in row] for row in scores.numbers[system].tolist()]
        for system in scored.candidates
    }
    return scored, names


def _is_gold(numbers: np.ndarray, gold: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([np.isin(row, list(of_document)) for row, of_document in zip(numbers, gold, strict=True)])


def recall_at(scores: Scores, gold: Sequence[Sequence[int]], k: int) -> float | None:
    """Return the share of all unseen gold codes that are among the k best unseen codes of their document.

    Codes of all systems are ranked together. None if there is no such gold code, or no unseen code to rank.
    """
    if not scores.numbers:
        return None
    numbers = np.concatenate(list(scores.numbers.values()), axis=1)
    order = np.argsort(-np.concatenate(list(scores.unseen.values()), axis=1), axis=1, kind="stable")[:, :k]
    found = _is_gold(np.take_along_axis(numbers, order, axis=1), gold).sum()
    total = sum(map(len, gold))
    return float(found / total) if total else None


def open_metrics(
    scorer: OpenScorer,
    labels: official.Labels,
    codes: pd.DataFrame,
    dev: tuple[Sequence[str], Scores],
    test: tuple[Sequence[str], Scores],
    grid: int,
) -> dict[str, Any]:
    """Measure a scorer on test.

    Args:
        scorer: whose scores these are.
        labels: records with system and code [Y].
        codes: admission_id, system, code; every gold code of the corpus.
        dev: admissions and scores of the documents that the threshold is tuned on.
        test: admissions and scores of the documents to measure.
        grid: number of thresholds to try.

    Returns:
        official_open: as `official_metrics` returns it, of labels and unseen codes on one scale; open: the recall of
        unseen gold codes among the best unseen codes, and their number.
    """
    gold = {name: gold_unseen(scorer.retriever.codes, codes, documents) for name, (documents, _) in
            (("dev", dev), ("test", test))}  # fmt: skip
    scored = [
        scored_documents(scorer, scores, documents, gold[name])
        for name, (documents, scores) in (("dev", dev), ("test", test))
    ]
    recalls = {f"recall_at_{k}": recall_at(test[1], gold["test"], k) for k in RECALL_AT}
    return {
        "official_open": official_metrics(official.tasks(labels, codes, scored[0], scored[1], grid)),
        "open": recalls | {"n_unseen_gold": sum(map(len, gold["test"]))},
    }


@dataclass(frozen=True)
class OpenMeasurement:
    """A scorer with the documents that models are measured on.

    Attributes:
        scorer: of the label set open.
        codes: admission_id, system, code; every gold code.
        labels: records with system and code [Y].
        documents: admissions of the splits dev and test, by name.
        texts: their notes.
        grid: number of thresholds to try.
    """

    scorer: OpenScorer
    codes: pd.DataFrame
    labels: official.Labels
    documents: dict[str, list[str]]
    texts: dict[str, list[str]]
    grid: int

    @classmethod
    def read(
        cls, path: Path, models: list[str], notes: Path, codes: pd.DataFrame, data: Inputs, grid: int
    ) -> OpenMeasurement:
        """Read a scorer and the notes of the documents.

        Args:
            path: models/open.
            models: digests of the weights of the models to measure.
            notes: notes.parquet.
            codes: admission_id, system, code; every gold code.
            data: with the splits dev and test.
            grid: number of thresholds to try.

        Raises:
            UserError: a file cannot be read, or the scorer was made for other models.
        """
        documents = {name: data.splits[name].documents for name in ("dev", "test")}
        texts = {name: list(texts_of(notes, admissions).values()) for name, admissions in documents.items()}
        return cls(folder.read(path, models), codes, data.labels["icd"], documents, texts, grid)

    def add_to(self, metrics: dict[str, Any], probabilities: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Add the measures of `open_metrics` to the metrics of the head `icd`, after the official ones.

        Args:
            metrics: by head, as in metrics/test.json.
            probabilities: by split and head, float32 [n, Y].
        """
        documents = self.documents
        dev, test = (
            # A test that is dev is scored as dev is: by calibrations that were not fitted on its documents.
            self.scorer.score(self.texts[name], probabilities[name]["icd"], of_dev=documents[name] == documents["dev"])
            for name in ("dev", "test")
        )
        added = open_metrics(
            self.scorer, self.labels, self.codes, (documents["dev"], dev), (documents["test"], test), self.grid
        )
        metrics["icd"] = {"official": metrics["icd"]["official"]} | added | metrics["icd"]
