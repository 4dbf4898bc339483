"""Prediction of labels and unseen codes for a new note."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medcode.inference.predict import OpenPrediction, OpenPredictor
from medcode.open_codes import folder
from medcode.open_codes.scorer import OpenScorer


def predictor(path: Path, models: list[str]) -> OpenPredictor | None:
    """Read a scorer and return what predicts with it; None if dev showed no gain, so that nothing changes.

    Args:
        path: models/open.
        models: digests of the weights of the models that predict.

    Raises:
        UserError: see `folder.read`.
    """
    scorer = folder.read(path, models)
    return (lambda text, probabilities: predict(scorer, text, probabilities)) if scorer.changes else None


def predict(scorer: OpenScorer, text: str, probabilities: np.ndarray) -> OpenPrediction:
    """Predict the codes of a note from the model's probabilities of the labels, float32 [Y]."""
    scores, codes = scorer.score([text], probabilities[None]), scorer.retriever.codes
    systems = [system for system in scores.numbers if scorer.scores_unseen(system)]
    numbers = [int(number) for system in systems for number in scores.numbers[system][0]]
    records = [
        dict(zip(("system", "code"), codes.codes[number], strict=True)) | {"description": codes.descriptions[number]}
        for number in numbers
    ]
    unseen = np.concatenate([np.zeros(0, np.float32), *(scores.unseen[system][0] for system in systems)])
    return OpenPrediction(scores.labels[0], records, unseen, scorer.threshold)
