"""Prediction of the codes of a new note."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from medcode.dataset.fragments import cut
from medcode.errors import UserError
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import MeanProbabilities, probabilities, score
from medcode.text.offsets import sentence_tokens, token_offsets
from medcode.text.sentences import sentence_spans
from medcode.text.tokenization import text_of, tokenize
from medcode.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """Predicted codes of each head, most probable first, and the size of the note.

    Attributes:
        model: name of the model.
        label_set: that it was trained on.
        codes: records {head, system, code, description, probability}; of a model on sentences also evidence, start and
            end of the best sentence in characters of the note. A code that is no label has `unseen: true`.
        words: number of words of the note.
        words_read: number of words after truncation.
        words_known: number of words read that are in the vocabulary.
        unit: what these numbers count: words, or the subwords of an encoder.
        seeds: number of trained models, whose mean the probabilities are.
        thresholds: of each head, the probability above which a code is predicted, unless `top` was asked for.
    """

    model: str
    label_set: str
    codes: list[dict[str, Any]]
    words: int
    words_read: int
    words_known: int
    unit: str
    seeds: int
    thresholds: dict[str, float]


class UnreadableNote(UserError):
    """A note without words."""


@dataclass(frozen=True)
class OpenPrediction:
    """Labels of the head `icd` and codes that are no label, on one scale.

    Attributes:
        probabilities: of the labels, float32 [Y].
        unseen: records {system, code, description} of codes that are no label [K].
        unseen_probabilities: of these, float32 [K].
        threshold: the tuned probability above which a code is predicted.
    """

    probabilities: np.ndarray
    unseen: list[dict[str, Any]]
    unseen_probabilities: np.ndarray
    threshold: float


class OpenPredictor(Protocol):
    """Adds codes that are no label."""

    def __call__(self, text: str, probabilities: np.ndarray) -> OpenPrediction:
        """Predict from a note and the model's probabilities of the labels of the head `icd`, float32 [Y]."""

    def places(self, text: str, system: str, code: str) -> list[tuple[int, int, float]]:
        """Return the words of a note for which an unseen code was found: start, end and share of each."""


def predict(
    models: Iterable[TrainedModel],
    text: str,
    threshold: float | None = None,
    top: int | None = None,
    open_predictor: OpenPredictor | None = None,
) -> Prediction:
    """Predict the codes of one note, by the mean of the probabilities of one or several models.

    Args:
        models: models of the same labels, one after another, as `saved_model.load_all` reads them.
        text: the note.
        threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
        top: predict this many codes of each head instead, whatever their probability.
        open_predictor: adds codes that are no label; None for a label set without them.

    Raises:
        UnreadableNote: the note has no words.
        UserError: a model cannot be read.
    """
    mean, of_slices = MeanProbabilities(), MeanProbabilities()
    for trained in models:
        all_tokens, unknown = token_ids(trained, text)
        if not len(all_tokens):
            raise UnreadableNote("no words to read: it is empty, or holds numbers and signs only")
        slices, places = slices_of(trained, text, len(all_tokens))
        tokens = all_tokens[: slices.max()]
        logits = score(trained.model, tokens, slices, trained.max_tokens, batch_size=1)
        of_slices.add({head: probabilities(x) for head, x in logits.items()})
        mean.add({head: probabilities(x.max(axis=0)) for head, x in logits.items()})
    codes, thresholds = [], {}
    for head, labels in trained.labels.items():
        best, values, limit = of_slices.values[head].argmax(axis=0), mean.values[head], trained.thresholds[head]
        records = [
            {key: label[key] for key in ("system", "code", "description")}
            | ({} if places is None else {"evidence": places[best[number]].tolist()})
            for number, label in enumerate(labels)
        ]
        if open_predictor is not None and head == "icd":
            opened = open_predictor(text, values)
            records += [record | {"unseen": True} for record in opened.unseen]
            values, limit = np.concatenate([opened.probabilities, opened.unseen_probabilities]), opened.threshold
        order = np.argsort(-values, kind="stable")
        limit = thresholds[head] = limit if threshold is None else threshold
        predicted = order[:top] if top is not None else order[values[order] > limit]
        codes += [_record(head, records[number], float(values[number])) for number in predicted]
    n_known, unit = int((tokens != unknown).sum()), "words" if trained.tokenizer is None else "subwords"
    sizes = len(all_tokens), len(tokens), n_known
    return Prediction(trained.name, trained.label_set, codes, *sizes, unit, mean.models, thresholds)


def _record(head: str, record: dict[str, Any], probability: float) -> dict[str, Any]:
    """Return the record of a predicted code, with its probability behind its description."""
    named = {key: record[key] for key in ("system", "code", "description")}
    return {"head": head} | named | {"probability": round(probability, 4)} | record


def slices_of(trained: TrainedModel, text: str, n_tokens: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what a model reads of a note: its beginning, or its sentences one by one.

    Args:
        trained: the model.
        text: the note.
        n_tokens: of the note; not 0.

    Returns:
        Start and end of each slice in the tokens of the note, int64 [m, 2]; those of each sentence in the characters of
        the note, int64 [m, 2], None for a model on documents.
    """
    if trained.unit == "documents":
        return np.array([[0, min(n_tokens, trained.max_tokens)]]), None
    (offsets,) = token_offsets([text], trained.rule, trained.tokenizer)
    slices, _ = cut(sentence_tokens(offsets, sentence_spans(text)), trained.max_tokens)
    return slices, np.stack([offsets[slices[:, 0], 0], offsets[slices[:, 1] - 1, 1]], axis=1)


def token_ids(trained: TrainedModel, text: str) -> tuple[np.ndarray, int | None]:
    """Return the token ids of a note, int32 [N], and the id of unknown tokens."""
    if trained.tokenizer is not None:
        (ids,) = trained.tokenizer([text_of(text, trained.tokenizer.text, trained.rule)])
        return ids, trained.tokenizer.unknown
    vocabulary = Vocabulary(trained.vocabulary)
    return vocabulary.rows(tokenize(text, trained.rule)), vocabulary.unknown
