"""A trained model as a library: `medcode.load(folder).predict(texts)`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medcode.errors import UserError
from medcode.evidence.attributions import check_method
from medcode.evidence.of_codes import add_spans
from medcode.inference import calibration, kept, saved_model
from medcode.inference.calibration import Calibration
from medcode.inference.many import BATCH_TOKENS, BatchPredictor
from medcode.inference.predict import OpenPredictor, Prediction, UnreadableNote
from medcode.inference.saved_model import TrainedModel
from medcode.inference.shared_lock import SharedLock


class Coder:
    """A trained model that predicts the codes of notes. Threads may share it.

    Predictions run side by side. Evidence changes the model while it is found, so it waits until no prediction runs,
    and they wait for it.

    Args:
        models: of all seeds, whose probabilities are averaged; at least one.
        open_predictor: adds codes that are no label; None for a label set without them.
        calibration: of the models; None for none.

    Attributes:
        models: likewise, with their names, labels and thresholds.
    """

    def __init__(
        self,
        models: Sequence[TrainedModel],
        open_predictor: OpenPredictor | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.models = tuple(models)
        self._open_predictor = open_predictor
        self._predict_many = BatchPredictor(self.models, open_predictor, calibration)
        self._lock = SharedLock()

    def predict(
        self,
        texts: Sequence[str],
        evidence: bool = False,
        top: int | None = None,
        threshold: float | None = None,
        method: str | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> list[Prediction]:
        """Predict the codes of notes, in the order of the notes.

        Args:
            texts: the notes. Those of similar length are scored together, which changes no probability by more than
                1e-6.
            evidence: adds to each code the `spans` of the note that made it, which takes longer than the prediction.
            top: predict this many codes of each head, whatever their probability.
            threshold: a code is predicted when its probability is above; None takes the tuned threshold of each head.
            method: of evidence, a name of `evidence.attributions.METHODS`; None takes the model's default.
            batch_tokens: of the notes that are scored together, with their padding.

        Raises:
            UnreadableNote: a text has no words, or was decoded by the wrong rule. `try_predict` goes on instead.
            UserError: an argument is invalid, or the method does not work for the model.
            TypeError: `texts` is a string, or one of them is none.
        """
        predictions: list[Prediction] = []
        for number, result in enumerate(self.try_predict(texts, evidence, top, threshold, method, batch_tokens)):
            if isinstance(result, UnreadableNote):
                raise UnreadableNote(f"texts[{number}]: {result}") if len(texts) > 1 else result
            predictions.append(result)
        return predictions

    def try_predict(
        self,
        texts: Sequence[str],
        evidence: bool = False,
        top: int | None = None,
        threshold: float | None = None,
        method: str | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> list[Prediction | UnreadableNote]:
        """Predict as `predict`, with the error itself in the place of a note that cannot be read.

        Raises:
            UserError, TypeError: as for `predict`.
        """
        _check(texts, top, threshold, batch_tokens)
        if method is not None:
            if not evidence:
                raise UserError("method: says how evidence is found; add evidence=True")
            check_method(self.models[0].model, method)
        if len(texts) == 1:
            batch_tokens = 1  # its sentences one by one: the same to the bit, whatever a batch is
        with self._lock.shared():
            results = self._predict_many(texts, threshold, top, batch_tokens)
        if not evidence:
            return results
        return [
            result if isinstance(result, UnreadableNote) else self._with_evidence(text, result, method)
            for text, result in zip(texts, results, strict=True)
        ]

    def _with_evidence(self, text: str, prediction: Prediction, method: str | None) -> Prediction:
        with self._lock.alone():
            method = add_spans(self.models, text, prediction.codes, method, self._open_predictor)
        return replace(prediction, evidence_method=method)


def _check(texts: Sequence[str], top: int | None, threshold: float | None, batch_tokens: int) -> None:
    if isinstance(texts, str):
        raise TypeError("texts: a list of notes, found one string")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{number}]: a string, found {type(text).__name__}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"threshold: a probability from 0 to 1, found {threshold}")
    if top is not None and top < 1:
        raise UserError(f"top: at least 1, found {top}")
    if batch_tokens < 1:
        raise UserError(f"batch_tokens: at least 1, found {batch_tokens}")


def load(folder: str | os.PathLike, open_folder: str | os.PathLike | None = None) -> Coder:
    """Read a trained model, all seeds of it, into memory, with the calibration in or beside its folder.

    A model that is replaced while it is read is read again: all of what is returned is of one model.

    Args:
        folder: of the model, as the workflow publishes it in models/current; or the name of a kept model.
        open_folder: of what scores codes that training never saw; None takes the folder `open` in or beside the model's
            for a model of the label set open, and nothing for another.

    Raises:
        UserError: a folder is missing, damaged, or written by another version; the second was made for another model.
    """
    return kept.read(os.fspath(folder), lambda found: _load(found, open_folder))


def _load(folder: Path, open_folder: str | os.PathLike | None) -> Coder:
    open_predictor = None
    if open_folder is not None or saved_model.label_set(folder) == "open":
        from medcode.open_codes.predict import predictor  # with pandas and scipy.optimize, 0.5 CPU seconds

        place = kept.open_folder(folder) if open_folder is None else Path(open_folder)
        open_predictor = predictor(place, saved_model.digests(folder))
    models = tuple(saved_model.load_all(folder))
    place, heads = kept.calibration_folder(folder), models[0].model.heads
    return Coder(models, open_predictor, calibration.read(place, saved_model.digests(folder), heads))
