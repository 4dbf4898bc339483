"""Evidence beside predicted codes: the spans of each code, as values and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from medcode.evidence.explain import explain_mean
from medcode.evidence.spans import MOST_SPANS, Span, best_spans, phrases, printable, sentence_of
from medcode.inference.predict import OpenPredictor, PredictedCode
from medcode.inference.saved_model import TrainedModel

NOTHING = "no words stand out"


def add_spans(
    models: Iterable[TrainedModel],
    text: str,
    codes: Sequence[PredictedCode],
    method: str | None = None,
    open_predictor: OpenPredictor | None = None,
) -> str:
    """Add to each code of a prediction its `spans`, [start, end, text, weight] each, heaviest first.

    Args:
        models: those of the prediction, one after another.
        text: the note.
        codes: records of `Prediction.codes`, changed in place.
        method: a name of `attributions.METHODS`; None takes the model's default.
        open_predictor: that found the codes with `unseen`. Their spans are the words of their descriptions and
            synonyms, since the model knows nothing of them.

    Returns:
        The method.

    Raises:
        UserError: there is no such method, or it does not work for the model.
    """
    models = iter(models)
    first = next(models)
    number = {
        (head, label["system"], label["code"]): index
        for head, of_head in first.labels.items()
        for index, label in enumerate(of_head)
    }
    by_head: dict[str, list[PredictedCode]] = {head: [] for head in first.labels}
    for code in codes:
        if code.get("unseen"):
            assert open_predictor is not None
            code["spans"] = _spans_of_unseen(open_predictor, text, code)
        else:
            by_head[code["head"]].append(code)
    labels = {
        head: np.array([number[head, code["system"], code["code"]] for code in of_head], np.int64)
        for head, of_head in by_head.items()
    }
    found = explain_mean(_again(first, models), text, labels, method)
    for head, of_head in by_head.items():
        for code, weights in zip(of_head, found.weights[head], strict=True):
            code["spans"] = [list(span) for span in best_spans(text, found.offsets, weights)]
    return found.method


def _spans_of_unseen(open_predictor: OpenPredictor, text: str, code: PredictedCode) -> list[list[Any]]:
    found = open_predictor.places(text, code["system"], code["code"])
    places = np.array([(start, end) for start, end, _ in found], np.int64).reshape(-1, 2)
    return [list(span) for span in phrases(text, places, np.array([share for *_, share in found]))[:MOST_SPANS]]


def _again(first: TrainedModel, others: Iterable[TrainedModel]) -> Iterable[TrainedModel]:
    yield first
    yield from others


def lines(text: str, code: PredictedCode, marks: tuple[str, str]) -> list[str]:
    """Return the evidence of a code for a terminal: each span in its sentence, behind its share of the weight.

    Args:
        text: the note.
        code: with `spans`.
        marks: what begins and ends a span.
    """
    if not code["spans"]:
        return [f"       {NOTHING}"]
    result = []
    for span in (Span(*values) for values in code["spans"]):
        before, after = sentence_of(text, span)
        result.append(f"       {span.weight:4.0%}  {before}{marks[0]}{printable(span.text)}{marks[1]}{after}")
    return result
