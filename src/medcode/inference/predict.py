"""Prediction of the codes of a new note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medcode.dataset.fragments import cut
from medcode.errors import UserError
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import probabilities, score
from medcode.text.offsets import sentence_tokens, token_offsets
from medcode.text.sentences import sentence_spans
from medcode.text.tokenization import text_of, tokenize
from medcode.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prediction:
    """Predicted codes of each head, most probable first, and the size of the note.

    Attributes:
        codes: records {head, system, code, description, probability}; of a model on sentences also evidence, start and
            end of the best sentence in characters of the note.
        words: number of words of the note.
        words_read: number of words after truncation.
        words_known: number of words read that are in the vocabulary.
        unit: what these numbers count: words, or the subwords of an encoder.
    """

    codes: list[dict[str, Any]]
    words: int
    words_read: int
    words_known: int
    unit: str


def predict(trained: TrainedModel, text: str, threshold: float | None = None, top: int | None = None) -> Prediction:
    """Predict the codes of one note.

    Args:
        trained: a model with its vocabulary and labels.
        text: the note.
        threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
        top: predict this many codes of each head instead, whatever their probability.

    Raises:
        UserError: the note has no words.
    """
    all_tokens, unknown = token_ids(trained, text)
    if not len(all_tokens):
        raise UserError("no words to read: it is empty, or holds numbers and signs only")
    slices, places = slices_of(trained, text, len(all_tokens))
    tokens = all_tokens[: slices.max()]
    logits = score(trained.model, tokens, slices, trained.max_tokens, batch_size=1)
    codes = []
    for head, labels in trained.labels.items():
        best, values = logits[head].argmax(axis=0), probabilities(logits[head].max(axis=0))
        order = np.argsort(-values, kind="stable")
        limit = trained.thresholds[head] if threshold is None else threshold
        predicted = order[:top] if top is not None else order[values[order] > limit]
        codes += [
            {"head": head}
            | {key: labels[number][key] for key in ("system", "code", "description")}
            | {"probability": round(float(values[number]), 4)}
            | ({} if places is None else {"evidence": places[best[number]].tolist()})
            for number in predicted
        ]
    n_known, unit = int((tokens != unknown).sum()), "words" if trained.tokenizer is None else "subwords"
    return Prediction(codes, len(all_tokens), len(tokens), n_known, unit)


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
