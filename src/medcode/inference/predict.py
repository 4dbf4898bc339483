"""Prediction of the codes of a new note."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np

from medcode.errors import UserError
from medcode.inference.calibration import NOTHING, Calibration
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import MeanProbabilities, probabilities, score
from medcode.text.offsets import sentence_tokens, token_offsets
from medcode.text.sentences import sentence_spans
from medcode.text.tokenization import text_of, tokenize
from medcode.text.vocabulary import Vocabulary

NO_WORDS = "no words to read: it is empty, or holds numbers and signs only"
FEWEST_TO_JUDGE = 20  # words, of which it can be said that most are unknown


class PredictedCode(TypedDict):
    """A predicted code.

    Attributes:
        head: of the model, `icd` unless it has several.
        system: of the code, for instance `icd10cm`.
        code: with its point.
        description: of the code.
        probability: from 0 to 1, calibrated where the model has a calibration.
        evidence: start and end of the best sentence, in characters of the note; of a model on sentences only.
        unseen: true for a code that no training note has.
        spans: the evidence, [start, end, text, weight] each, heaviest first; where it was asked for.
        threshold: the probability above which this code is predicted; where codes have thresholds of their own.
    """

    head: str
    system: str
    code: str
    description: str
    probability: float
    evidence: NotRequired[list[int]]
    unseen: NotRequired[bool]
    spans: NotRequired[list[list[Any]]]
    threshold: NotRequired[float]


@dataclass(frozen=True)
class Prediction:
    """Predicted codes of each head, most probable first, and the size of the note.

    Attributes:
        model: name of the model.
        label_set: that it was trained on.
        codes: the codes, see `PredictedCode`.
        words: number of words of the note.
        words_read: number of words after truncation.
        words_known: number of words read that are in the vocabulary.
        unit: what these numbers count: words, or the subwords of an encoder.
        seeds: number of trained models, whose mean the probabilities are.
        thresholds: of each head, the probability above which a code without a threshold of its own is predicted,
            unless `top` was asked for.
        evidence_method: by which the spans of the codes were found; None without spans.
        dev_lengths: of the shortest and the longest note of dev, in the same unit; None where the model does not say.
    """

    model: str
    label_set: str
    codes: list[PredictedCode]
    words: int
    words_read: int
    words_known: int
    unit: str
    seeds: int
    thresholds: dict[str, float]
    evidence_method: str | None = None
    dev_lengths: tuple[int, int] | None = None

    @property
    def is_unusual_length(self) -> bool:
        """Whether the note is shorter or longer than every note of dev."""
        return self.dev_lengths is not None and not self.dev_lengths[0] <= self.words <= self.dev_lengths[1]

    @property
    def mostly_unknown(self) -> bool:
        """Whether more than half of the words read are not in the vocabulary; few words tell nothing."""
        return self.words_read >= FEWEST_TO_JUDGE and 2 * self.words_known < self.words_read

    def rounded(self, decimals: int) -> Prediction:
        """Return the same with rounded probabilities and thresholds, so that no code lies below its threshold."""
        codes: list[PredictedCode] = []
        for code in self.codes:
            codes.append({**code, "probability": round(code["probability"], decimals)})
            if "threshold" in code:
                codes[-1]["threshold"] = _rounded(code["threshold"], decimals)
        thresholds = {head: _rounded(threshold, decimals) for head, threshold in self.thresholds.items()}
        return replace(self, codes=codes, thresholds=thresholds)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes for JSON, without `dev_lengths`; `evidence_method` only where there are spans."""
        left_out = {"dev_lengths"} | ({"evidence_method"} if self.evidence_method is None else set())
        return {name: value for name, value in vars(self).items() if name not in left_out}


def _rounded(threshold: float, decimals: int) -> float:
    """Return a rounded threshold. One that is not 0 does not become 0, which would look like predicting all codes."""
    return round(threshold, decimals) or threshold


class UnreadableNote(UserError):
    """A text that cannot be read as a note, or has no words."""


@dataclass(frozen=True)
class NoteScores:
    """What one or several models say of a note.

    Attributes:
        probabilities: {head: float32 [Y]}.
        best: number of the slice with the highest score of each label, {head: int64 [Y]}.
        places: start and end of each slice in characters of the note, int64 [m, 2]; None for a model on documents.
        words, words_read, words_known, seeds: as in `Prediction`.
    """

    probabilities: Mapping[str, np.ndarray]
    best: Mapping[str, np.ndarray]
    places: np.ndarray | None
    words: int
    words_read: int
    words_known: int
    seeds: int


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
    calibration: Calibration | None = None,
) -> Prediction:
    """Predict the codes of one note, by the mean of the probabilities of one or several models.

    Nothing is batched, and one model is in memory at a time: `many.BatchPredictor` does the same for many notes.

    Args:
        models: models of the same labels, one after another, as `saved_model.load_all` reads them.
        text: the note.
        threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
        top: predict this many codes of each head instead, whatever their probability.
        open_predictor: adds codes that are no label; None for a label set without them.
        calibration: of the models; None for none.

    Raises:
        UnreadableNote: the note has no words, or was decoded by the wrong rule.
        UserError: a model cannot be read.
    """
    check_text(text)
    mean, of_slices = MeanProbabilities(), MeanProbabilities()
    for trained in models:
        all_tokens, unknown = token_ids(trained, text)
        if not len(all_tokens):
            raise UnreadableNote(NO_WORDS)
        slices, places = slices_of(trained, text, len(all_tokens))
        tokens = all_tokens[: slices.max()]
        logits = score(trained.model, tokens, slices, trained.max_tokens, batch_size=1)
        of_slices.add({head: probabilities(x) for head, x in logits.items()})
        mean.add({head: probabilities(x.max(axis=0)) for head, x in logits.items()})
    best = {head: values.argmax(axis=0) for head, values in of_slices.values.items()}
    sizes = len(all_tokens), len(tokens), int((tokens != unknown).sum())
    scores = NoteScores(mean.values, best, places, *sizes, mean.models)
    return prediction_of(trained, text, scores, threshold, top, open_predictor, calibration)


def check_text(text: str) -> None:
    """Refuse a text that was decoded by the wrong rule.

    Raises:
        UnreadableNote: likewise.
    """
    if "\0" in text:
        raise UnreadableNote(
            "holds NUL characters, as UTF-16 does that is read as UTF-8; convert it, for instance with "
            "iconv -f UTF-16LE -t UTF-8"
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnreadableNote(f"not valid Unicode text (character {error.start + 1})") from None


def prediction_of(
    trained: TrainedModel,
    text: str,
    scores: NoteScores,
    threshold: float | None,
    top: int | None,
    open_predictor: OpenPredictor | None,
    calibration: Calibration | None,
) -> Prediction:
    """Return the codes of a note by its scores.

    Codes are ranked and, unless a threshold is given, chosen by the model's own probabilities, so a calibration changes
    only the numbers beside them. What `open_predictor` returns is calibrated already.

    Args:
        trained: one of the models that the scores are of.
        text: the note.
        scores: of it.
        threshold, top, open_predictor, calibration: as for `predict`.
    """
    codes, thresholds = [], {}
    for head, labels in trained.labels.items():
        values, limit, unseen = scores.probabilities[head], trained.thresholds[head], []
        of_head = NOTHING if calibration is None else calibration.mean[head]
        if open_predictor is not None and head == "icd":
            opened = open_predictor(text, values)
            values, limit = np.concatenate([opened.probabilities, opened.unseen_probabilities]), opened.threshold
            unseen, of_head = opened.unseen, NOTHING
        shown, order = of_head.map(values), np.argsort(-values, kind="stable")
        is_predicted = of_head.decide(values, limit) if threshold is None else shown > threshold
        thresholds[head] = of_head.shown(limit) if threshold is None else threshold
        for number in (order[:top] if top is not None else order[is_predicted[order]]).tolist():
            record = labels[number] if number < len(labels) else unseen[number - len(labels)]
            code = PredictedCode(
                head=head,
                system=record["system"],
                code=record["code"],
                description=record["description"],
                probability=float(shown[number]),
            )
            if threshold is None and of_head.code_thresholds is not None:
                code["threshold"] = of_head.shown(of_head.code_thresholds[number])
            if number >= len(labels):
                code["unseen"] = True
            elif scores.places is not None:
                code["evidence"] = scores.places[scores.best[head][number]].tolist()
            codes.append(code)
    unit = "words" if trained.tokenizer is None else "subwords"
    sizes = scores.words, scores.words_read, scores.words_known
    return Prediction(
        trained.name, trained.label_set, codes, *sizes, unit, scores.seeds, thresholds, dev_lengths=trained.dev_lengths
    )


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
    from medcode.dataset.fragments import cut  # with pyarrow.compute and scipy, which other models do without

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
