"""Prediction of the codes of many notes: tokenized with a cache, scored in batches of notes of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from medcode.inference.calibration import Calibration
from medcode.inference.predict import (
    NO_WORDS,
    NoteScores,
    OpenPredictor,
    Prediction,
    UnreadableNote,
    check_text,
    prediction_of,
    slices_of,
)
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import MeanProbabilities, probabilities, score
from medcode.text.tokenization import rule_named, text_of
from medcode.text.vocabulary import Vocabulary

BATCH_TOKENS = 8192  # of a batch, padding included; larger ones are slower on a CPU, since they leave its cache
NOTES_AT_ONCE = {"documents": 256, "sentences": 8}  # whose probabilities are kept; of sentences there are many
SPELLINGS = 500_000  # that are remembered
_DROPPED = -1


class NoteTokenizer:
    """Tokens of notes, as `predict.token_ids` returns them. It may be used by several threads.

    Args:
        trained: whose words or subwords they are.

    Attributes:
        unknown: the id of unknown tokens; None if there is none.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._tokenizer, self._rule = trained.tokenizer, trained.rule
        vocabulary = Vocabulary(trained.vocabulary)
        self._rows = _SpellingRows(vocabulary, trained.rule)
        self.unknown = vocabulary.unknown if trained.tokenizer is None else trained.tokenizer.unknown

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the token ids of each note, int32 [N]."""
        if self._tokenizer is not None:
            return self._tokenizer([text_of(text, self._tokenizer.text, self._rule) for text in texts])
        if len(self._rows) > SPELLINGS:
            self._rows.clear()
        split = rule_named(self._rule).words
        notes = (list(map(self._rows.__getitem__, split(text))) for text in texts)
        return [rows[rows != _DROPPED] for rows in (np.array(note, dtype=np.int32) for note in notes)]


class _SpellingRows(dict):
    """Mapping from a word as spelled in a note to its row in the embedding table, or to -1 if the rule drops it."""

    def __init__(self, vocabulary: Vocabulary, rule: str) -> None:
        super().__init__()
        self._vocabulary, self._form = vocabulary, rule_named(rule).form

    def __missing__(self, word: str) -> int:
        form = self._form(word)
        row = self[word] = _DROPPED if form is None else int(self._vocabulary.rows([form])[0])
        return row


class BatchPredictor:
    """Predicts the codes of notes as `predict` does, many at a time. It may be used by several threads.

    Args:
        models: one or several models of the same labels.
        open_predictor: adds codes that are no label; None for a label set without them.
        calibration: of the models; None for none.
    """

    def __init__(
        self,
        models: Sequence[TrainedModel],
        open_predictor: OpenPredictor | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._models = [(trained, NoteTokenizer(trained)) for trained in models]
        self._open_predictor, self._calibration = open_predictor, calibration

    def __call__(
        self,
        texts: Sequence[str],
        threshold: float | None = None,
        top: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> list[Prediction | UnreadableNote]:
        """Return the prediction of each note, or why it cannot be read, in the order of the notes.

        The probabilities are those of `predict` up to rounding in the seventh decimal.

        Args:
            texts: the notes.
            threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
            top: predict this many codes of each head instead, whatever their probability.
            batch_tokens: scores notes together while they have at most so many tokens with their padding.
        """
        at_once = NOTES_AT_ONCE[self._models[0][0].unit]
        parts = (texts[start : start + at_once] for start in range(0, len(texts), at_once))
        notes = (note for part in parts for note in self._read(part, batch_tokens))
        return [note.error or self._prediction(note, threshold, top) for note in notes]

    def _read(self, texts: Sequence[str], batch_tokens: int) -> list[_Note]:
        notes = [_Note(text) for text in texts]
        for trained, tokenizer in self._models:
            readable = [note for note in notes if note.error is None]
            for note, tokens in zip(readable, tokenizer([note.text for note in readable]), strict=True):
                note.read(trained, tokens, tokenizer.unknown)
            readable = [note for note in notes if note.error is None]
            for note, of_slices in zip(readable, score_slices(trained, readable, batch_tokens), strict=True):
                note.add(of_slices)
        return notes

    def _prediction(self, note: _Note, threshold: float | None, top: int | None) -> Prediction:
        added = self._open_predictor, self._calibration
        return prediction_of(self._models[0][0], note.text, note.scores(), threshold, top, *added)


class _Note:
    """A note that one model after another reads and scores.

    Args:
        text: of it.

    Attributes:
        error: why it cannot be read, if it cannot.
        tokens: what the last model reads, int32 [N].
        slices: what it reads at a time, start and end in the tokens, int64 [m, 2].
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.error = _unreadable(text)
        self.tokens, self.slices = np.zeros(0, np.int32), np.zeros((0, 2), np.int64)
        self._places: np.ndarray | None = None
        self._sizes = 0, 0, 0
        self._mean, self._of_slices = MeanProbabilities(), MeanProbabilities()

    def read(self, trained: TrainedModel, tokens: np.ndarray, unknown: int | None) -> None:
        """Take the tokens that a model is to score."""
        if not len(tokens):
            self.error = UnreadableNote(NO_WORDS)
            return
        self.slices, self._places = slices_of(trained, self.text, len(tokens))
        self.tokens = tokens[: self.slices.max()]
        self._sizes = len(tokens), len(self.tokens), int((self.tokens != unknown).sum())

    def add(self, of_slices: Mapping[str, np.ndarray]) -> None:
        """Add a model's probabilities of each slice, {head: float32 [m, Y]}."""
        self._mean.add({head: values.max(axis=0) for head, values in of_slices.items()})
        self._of_slices.add(of_slices)

    def scores(self) -> NoteScores:
        """Return the means over the models."""
        best = {head: values.argmax(axis=0) for head, values in self._of_slices.values.items()}
        return NoteScores(self._mean.values, best, self._places, *self._sizes, self._mean.models)


def score_slices(trained: TrainedModel, notes: Sequence[_Note], batch_tokens: int) -> list[dict[str, np.ndarray]]:
    """Return the probabilities of each slice of each note, {head: float32 [m, Y]}."""
    if not notes:
        return []
    ends = np.cumsum([len(note.tokens) for note in notes])
    tokens = np.concatenate([note.tokens for note in notes])
    slices = np.concatenate([note.slices + end - len(note.tokens) for note, end in zip(notes, ends, strict=True)])
    values = {head: np.empty((len(slices), labels), np.float32) for head, labels in trained.model.heads.items()}
    for batch in batches(slices[:, 1] - slices[:, 0], batch_tokens):
        logits = score(trained.model, tokens, slices[batch], trained.max_tokens, len(batch))
        for head, of_batch in logits.items():
            values[head][batch] = probabilities(of_batch)
    divisions = np.cumsum([len(note.slices) for note in notes])[:-1]
    of_notes = {head: np.split(of_head, divisions) for head, of_head in values.items()}
    return [{head: of_head[number] for head, of_head in of_notes.items()} for number in range(len(notes))]


def batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Divide slices into batches of similar length, the longest first.

    Args:
        lengths: tokens of each slice, int [n].
        batch_tokens: of a batch with its padding, at most; a longer slice is a batch alone.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        n = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + n]
        start += n


def _unreadable(text: str) -> UnreadableNote | None:
    try:
        check_text(text)
    except UnreadableNote as error:
        return error
    return None
