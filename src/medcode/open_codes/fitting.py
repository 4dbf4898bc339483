"""Fitting on dev: the calibrations, and the choice of what helps there.

Every measurement on dev is cross-validated: a document is scored by calibrations that were not fitted on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from medcode.dataset.arrays import Targets
from medcode.evaluation import official
from medcode.open_codes.calibration import Calibration
from medcode.open_codes.calibration import fit as fit_calibration
from medcode.open_codes.measurement import gold_unseen, scored_documents
from medcode.open_codes.retrieval import MENTION_FEATURES, TEXT_FEATURES, UNSEEN_FEATURES, Retrieved, Retriever
from medcode.open_codes.scorer import Calibrations, OpenScorer, Scores, label_features, stacked
from medcode.open_codes.words import sentences

FOLDS = 5
FITTED_ON = 500  # documents of dev at most, so that features of thousands of labels fit into memory
# What may change, as (rescores, includes_unseen).
VARIANTS = {
    "nothing": (False, False),
    "unseen_codes": (False, True),
    "labels": (True, False),
    "labels_and_unseen_codes": (True, True),
}


@dataclass(frozen=True)
class Fitted:
    """A scorer, and how it was chosen.

    Attributes:
        scorer: of the best variant.
        changed: its name in VARIANTS.
        maps: the official MAP of each variant on the documents of dev that were fitted on, cross-validated.
    """

    scorer: OpenScorer
    changed: str
    maps: dict[str, float]

    def metrics(self) -> dict[str, Any]:
        """Return the content of metrics/open.json."""
        codes, mentions = self.scorer.retriever.codes, self.scorer.retriever.mentions
        return {
            "changed": self.changed,
            "dev_official_map": self.maps,
            "dev_documents": self.scorer.fitted_on,
            "labels": codes.n_labels,
            "unseen_codes": {system: len(numbers) for system, numbers in codes.unseen.items()},
            "terms": len(self.scorer.retriever.terms.codes),
            "mentions": 0 if mentions is None else len(mentions.index.codes),
        }

    def lines(self) -> list[str]:
        """Say in a line what changes and what that gives on dev, and in a line each which systems stay out."""
        before, after = self.maps["nothing"], self.maps[self.changed]
        if self.changed == "nothing":
            first = f"open: dev shows no clear gain, so nothing changes: official MAP {before:.4f}, cross-validated"
        else:
            changed = self.changed.replace("_", " ")
            first = f"open: scores {changed} by their terms: official MAP {before:.4f} to {after:.4f}, cross-validated"
        without = [system for system, value in self.scorer.calibrations.unseen.items() if value is None]
        return [first, *(f"open: {system}: too few unseen gold codes in dev; none is predicted" for system in without)]


def fit(
    retriever: Retriever,
    texts: Mapping[str, str],
    probabilities: np.ndarray,
    targets: Targets,
    codes: pd.DataFrame,
    grid: int,
    models: Sequence[str],
) -> Fitted:
    """Fit a scorer on dev, and choose by the official MAP there which scores it changes.

    Args:
        retriever: finds codes.
        texts: the notes of dev, by admission [n].
        probabilities: the model's, of its labels, float32 [n, Y].
        targets: their gold labels.
        codes: admission_id, system, code; every gold code.
        grid: number of thresholds to try.
        models: digests of the weights of the models.

    Raises:
        UserError: dev has no gold label.
    """
    documents = list(texts)[:FITTED_ON]
    retrieved = [retriever.retrieve(sentences(texts[document])) for document in documents]
    dev = _Dev(retriever, retrieved, probabilities[:FITTED_ON], targets.first(FITTED_ON).matrix.toarray() > 0)
    gold = gold_unseen(retriever.codes, codes, documents)
    labels = {rescores: [dev.fit_labels(rows, rescores) for rows in _training_rows(len(documents))]
              for rescores in (False, True)}  # fmt: skip
    unseen = [dev.fit_unseen(rows, gold) for rows in _training_rows(len(documents))]
    records = [{"system": system, "code": code} for system, code in retriever.codes.codes[: retriever.codes.n_labels]]
    precisions, scorers = {}, {}
    for name, (rescores, includes_unseen) in VARIANTS.items():
        fitted, *folds = map(Calibrations, labels[rescores], unseen)
        scorer = OpenScorer(
            retriever, rescores, includes_unseen, fitted, tuple(folds), len(documents), 0.5, tuple(models)
        )
        scored = scored_documents(scorer, dev.scores(scorer), documents, gold)
        task = official.tasks(records, codes, scored, scored, grid)[""]
        precisions[name] = official.average_precisions(task)
        scorers[name] = replace(scorer, threshold=float(task.decided.threshold))
    changed = _best(precisions)
    return Fitted(scorers[changed], changed, {name: float(values.mean()) for name, values in precisions.items()})


def _best(precisions: Mapping[str, np.ndarray]) -> str:
    """Return the variant with the highest mean, and `nothing` if the gain over it is within its standard error.

    Args:
        precisions: average precision of each document by variant, float64 [n].
    """
    best = max(precisions, key=lambda name: precisions[name].mean())
    gains = precisions[best] - precisions["nothing"]
    return best if gains.mean() > gains.std() / np.sqrt(len(gains)) else "nothing"


def _training_rows(n: int) -> list[np.ndarray]:
    """Return all of n documents, then those outside each fold, bool [n] each."""
    fold = np.arange(n) % FOLDS
    return [fold >= 0, *(fold != held_out for held_out in range(FOLDS))]


@dataclass(frozen=True)
class _Dev:
    """The documents of dev that are fitted on.

    Attributes:
        retriever: finds codes.
        retrieved: what it finds in each document [n].
        probabilities: the model's, float32 [n, Y].
        gold: their labels, bool [n, Y].
    """

    retriever: Retriever
    retrieved: list[Retrieved]
    probabilities: np.ndarray
    gold: np.ndarray

    def scores(self, scorer: OpenScorer) -> Scores:
        """Return the scores of each document by the calibrations that were not fitted on it."""
        notes = enumerate(zip(self.retrieved, self.probabilities, strict=True))
        return stacked(
            [
                scorer.score_retrieved(retrieved, of_model, scorer.folds[number % len(scorer.folds)])
                for number, (retrieved, of_model) in notes
            ]
        )

    def fit_labels(self, rows: np.ndarray, rescores: bool) -> dict[str, Calibration | None]:
        """Fit the calibration of each system's labels on some documents, bool [n]."""
        text = np.stack([self.retrieved[number].labels for number in np.flatnonzero(rows)]) if rescores else None
        features = label_features(self.probabilities[rows], text)
        names = TEXT_FEATURES if self.retriever.mentions is None else TEXT_FEATURES | MENTION_FEATURES
        increasing = np.array([True, *(names.values() if rescores else ())])
        return {
            system: fit_calibration(
                features[:, of_system].reshape(-1, len(increasing)), self.gold[rows][:, of_system].ravel(), increasing
            )
            for system, of_system in self.retriever.codes.of_labels.items()
        }

    def fit_unseen(self, rows: np.ndarray, gold: list[list[int]]) -> dict[str, Calibration | None]:
        """Fit the calibration of each system's unseen codes on some documents, bool [n], given their gold codes."""
        chosen, increasing = np.flatnonzero(rows), np.array(list(UNSEEN_FEATURES.values()))
        calibrations = {}
        for system in self.retriever.codes.unseen:
            features = np.concatenate([self.retrieved[number].unseen[system] for number in chosen])
            is_gold = [np.isin(self.retrieved[number].numbers[system], gold[number]) for number in chosen]
            has_score = features[:, 0] > 0  # others have probability 0
            calibrations[system] = fit_calibration(features[has_score], np.concatenate(is_gold)[has_score], increasing)
        return calibrations
