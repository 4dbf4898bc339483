"""Prediction of the codes of a new note."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medcode.errors import UserError
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import MeanProbabilities, probabilities, score
from medcode.text.tokenization import text_of, tokenize
from medcode.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """Predicted codes of each head, most probable first, and the size of the note.

    Attributes:
        model: name of the model.
        label_set: that it was trained on.
        codes: records {head, system, code, description, probability}.
        words: number of words of the note.
        words_read: number of words after truncation.
        words_known: number of words read that are in the vocabulary.
        unit: what these numbers count: words, or the subwords of an encoder.
        seeds: number of trained models, whose mean the probabilities are.
    """

    model: str
    label_set: str
    codes: list[dict[str, Any]]
    words: int
    words_read: int
    words_known: int
    unit: str
    seeds: int


class UnreadableNote(UserError):
    """A note without words."""


def predict(
    models: Iterable[TrainedModel], text: str, threshold: float | None = None, top: int | None = None
) -> Prediction:
    """Predict the codes of one note, by the mean of the probabilities of one or several models.

    Args:
        models: models of the same labels, one after another, as `saved_model.load_all` reads them.
        text: the note.
        threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
        top: predict this many codes of each head instead, whatever their probability.

    Raises:
        UnreadableNote: the note has no words.
        UserError: a model cannot be read.
    """
    mean = MeanProbabilities()
    for trained in models:
        all_tokens, unknown = token_ids(trained, text)
        if not len(all_tokens):
            raise UnreadableNote("no words to read: it is empty, or holds numbers and signs only")
        tokens = all_tokens[: trained.max_tokens]
        logits = score(trained.model, tokens, np.array([[0, len(tokens)]]), trained.max_tokens, batch_size=1)
        mean.add({head: probabilities(x)[0] for head, x in logits.items()})
    codes = []
    for head, labels in trained.labels.items():
        values = mean.values[head]
        order = np.argsort(-values, kind="stable")
        limit = trained.thresholds[head] if threshold is None else threshold
        predicted = order[:top] if top is not None else order[values[order] > limit]
        codes += [
            {"head": head}
            | {key: labels[number][key] for key in ("system", "code", "description")}
            | {"probability": round(float(values[number]), 4)}
            for number in predicted
        ]
    n_known, unit = int((tokens != unknown).sum()), "words" if trained.tokenizer is None else "subwords"
    sizes = len(all_tokens), len(tokens), n_known
    return Prediction(trained.name, trained.label_set, codes, *sizes, unit, mean.models)


def token_ids(trained: TrainedModel, text: str) -> tuple[np.ndarray, int | None]:
    """Return the token ids of a note, int32 [N], and the id of unknown tokens."""
    if trained.tokenizer is not None:
        (ids,) = trained.tokenizer([text_of(text, trained.tokenizer.text, trained.rule)])
        return ids, trained.tokenizer.unknown
    vocabulary = Vocabulary(trained.vocabulary)
    return vocabulary.rows(tokenize(text, trained.rule)), vocabulary.unknown
