"""Probabilities of the labels and of unseen codes on one scale, from a note's text and the model's probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medcode.open_codes.calibration import Calibration
from medcode.open_codes.retrieval import Retrieved, Retriever
from medcode.open_codes.words import sentences

_LOWEST = 1e-6  # probabilities are kept from 0 and 1 by this much


@dataclass(frozen=True)
class Calibrations:
    """The calibrations of each code system; None for a system with too few gold codes in dev.

    Attributes:
        labels: of the labels; a system without one keeps the model's probabilities.
        unseen: of the unseen codes; those of a system without one have probability 0.
    """

    labels: dict[str, Calibration | None]
    unseen: dict[str, Calibration | None]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them."""
        return {
            part: {system: value and value.as_json() for system, value in getattr(self, part).items()}
            for part in ("labels", "unseen")
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Calibrations:
        """Return the calibrations of `as_json`."""
        return cls(
            **{
                part: {system: value and Calibration.from_json(value) for system, value in values[part].items()}
                for part in ("labels", "unseen")
            }
        )


@dataclass(frozen=True)
class Scores:
    """Scores of several notes.

    Attributes:
        labels: probabilities of the labels, float32 [n, Y].
        numbers: of the best unseen codes of each system, int64 [n, K].
        unseen: their probabilities, float32 [n, K].
    """

    labels: np.ndarray
    numbers: dict[str, np.ndarray]
    unseen: dict[str, np.ndarray]


def label_features(probabilities: np.ndarray, retrieved: np.ndarray | None) -> np.ndarray:
    """Return the log-odds of the model's probabilities [..., Y] and, if given, what was retrieved [..., Y, F]."""
    kept = np.clip(probabilities.astype(np.float64), _LOWEST, 1 - _LOWEST)
    odds = np.log(kept / (1 - kept)).astype(np.float32)[..., None]
    return odds if retrieved is None else np.concatenate([odds, retrieved], axis=-1)


@dataclass(frozen=True)
class OpenScorer:
    """Scores labels and unseen codes on one scale.

    Attributes:
        retriever: finds codes in a note's text.
        rescores: whether what was retrieved changes the probabilities of labels.
        includes_unseen: whether unseen codes are predicted. If neither holds, dev shows no gain: nothing changes.
        calibrations: fitted on dev.
        folds: the same for each fold of the first `fitted_on` documents of dev, fitted on the other folds. Document i
            is in fold i modulo their number. Dev is measured with these.
        fitted_on: number of documents of dev that were fitted on.
        threshold: the probability above which a code is predicted, tuned on dev.
        models: digests of the weights of the models whose mean was calibrated.
    """

    retriever: Retriever
    rescores: bool
    includes_unseen: bool
    calibrations: Calibrations
    folds: tuple[Calibrations, ...]
    fitted_on: int
    threshold: float
    models: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether anything changes with unseen codes."""
        return self.rescores or self.includes_unseen

    def scores_unseen(self, system: str) -> bool:
        """Whether unseen codes of a system are predicted."""
        return self.includes_unseen and self.calibrations.unseen[system] is not None

    def score(self, texts: Iterable[str], probabilities: np.ndarray, *, of_dev: bool = False) -> Scores:
        """Score notes.

        Args:
            texts: the notes [n].
            probabilities: the model's, of the labels, float32 [n, Y].
            of_dev: whether the notes are dev, in its order: then each is scored by a calibration that was not fitted on
                it.
        """
        notes = []
        for number, (text, of_note) in enumerate(zip(texts, probabilities, strict=True)):
            held_out = of_dev and number < self.fitted_on
            calibrations = self.folds[number % len(self.folds)] if held_out else self.calibrations
            notes.append(self.score_retrieved(self.retriever.retrieve(sentences(text)), of_note, calibrations))
        return stacked(notes)

    def score_retrieved(self, retrieved: Retrieved, probabilities: np.ndarray, calibrations: Calibrations) -> Scores:
        """Score one note, given what was retrieved for it and the model's probabilities [Y]."""
        labels = probabilities.copy()
        features = label_features(probabilities, retrieved.labels if self.rescores else None)
        for system, numbers in self.retriever.codes.of_labels.items():
            if self.changes and (calibration := calibrations.labels.get(system)) is not None:
                labels[numbers] = calibration.probabilities(features[numbers])
        unseen = {
            system: _unseen(features, calibrations.unseen.get(system)) for system, features in retrieved.unseen.items()
        }
        return Scores(labels, retrieved.numbers, unseen)


def _unseen(features: np.ndarray, calibration: Calibration | None) -> np.ndarray:
    """Return the probabilities of unseen codes: 0 without a calibration, and for a code whose score is 0."""
    if calibration is None:
        return np.zeros(len(features), np.float32)
    return np.where(features[:, 0] > 0, calibration.probabilities(features), np.float32(0))


def stacked(notes: Sequence[Scores]) -> Scores:
    """Return the scores of notes as one."""
    return Scores(
        np.stack([note.labels for note in notes]),
        {system: np.stack([note.numbers[system] for note in notes]) for system in notes[0].numbers},
        {system: np.stack([note.unseen[system] for note in notes]) for system in notes[0].unseen},
    )
