"""Codes for a note that nobody has coded yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medcode.errors import UserError
from medcode.model_folder import TrainedModel
from medcode.text.tokenization import tokenize
from medcode.training.scoring import probabilities, score


@dataclass(frozen=True)
class Prediction:
    """Codes above the threshold, most probable first; how many words the note has, how many were read and known."""

    codes: list[dict[str, Any]]
    words: int
    words_read: int
    words_known: int


def predict(trained: TrainedModel, text: str, threshold: float | None = None, top: int | None = None) -> Prediction:
    """Predicts the codes of one note.

    Args:
        trained: a model with its vocabulary and labels.
        text: the note.
        threshold: a code is predicted when its probability is above; None takes the one tuned for each head.
        top: predict this many codes of each head instead, whatever their probability.

    Raises:
        UserError: there is no word to read.
    """
    words = tokenize(text, trained.rule)
    if not words:
        raise UserError("no words to read: it is empty, or holds numbers and signs only")
    row_of = {word: row for row, word in enumerate(trained.vocabulary, start=1)}
    unknown = len(trained.vocabulary) + 1
    tokens = np.array([row_of.get(word, unknown) for word in words[: trained.max_tokens]], dtype=np.int32)
    logits = score(trained.model, tokens, np.array([[0, len(tokens)]]), trained.max_tokens, batch_size=1)
    codes = []
    for head, labels in trained.labels.items():
        values = probabilities(logits[head])[0]
        order = np.argsort(-values, kind="stable")
        limit = trained.thresholds[head] if threshold is None else threshold
        chosen = order[:top] if top is not None else order[values[order] > limit]
        codes += [
            {"head": head}
            | {key: labels[number][key] for key in ("system", "code", "title")}
            | {"probability": round(float(values[number]), 4)}
            for number in chosen
        ]
    return Prediction(codes, len(words), len(tokens), int((tokens != unknown).sum()))
