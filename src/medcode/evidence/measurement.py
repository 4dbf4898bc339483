"""Measures of a trained model's evidence, by method: plausibility and faithfulness on the documents of dev and test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medcode.config import Explain
from medcode.dataset.arrays import Inputs, Split
from medcode.evidence.attributions import check_method, default_method, methods_of
from medcode.evidence.explain import token_weights
from medcode.evidence.faithfulness import faithfulness
from medcode.evidence.plausibility import Explanation, plausibility, shares, tune
from medcode.evidence.results import FAITHFULNESS, RANDOM
from medcode.inference.saved_model import TrainedModel
from medcode.inference.scoring import probabilities, score

SLOW = ("integrated_gradients", "occlusion")  # tens to hundreds of passes for a note


@dataclass(frozen=True)
class Note:
    """A document as a model reads it.

    Attributes:
        number: of the document in its split.
        tokens: ids, int32 [N].
        slices: start and end of what the model reads at a time, int64 [S, 2].
        gold: {label: which tokens its spans overlap, bool [N]}; of gold labels with a span.
        probabilities: of all labels, float32 [Y].
    """

    number: int
    tokens: np.ndarray
    slices: np.ndarray
    gold: dict[int, np.ndarray]
    probabilities: np.ndarray


@dataclass
class MethodScores:
    """What is known of a method: explanations of gold codes by split, and whether their codes were predicted on test.

    Attributes:
        explanations: {split: of each gold label with a span}.
        predicted: of those on test, whether the model predicts the label.
        faithfulness: {measure: its value for each predicted label of some documents of test}.
    """

    explanations: dict[str, list[Explanation]] = field(default_factory=lambda: defaultdict(list))
    predicted: list[bool] = field(default_factory=list)
    faithfulness: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def metrics(self) -> dict[str, Any]:
        """Return the threshold and all measures, each None where there was nothing to measure."""
        dev, test = self.explanations["dev"], self.explanations["test"]
        predicted = [of_code for of_code, is_predicted in zip(test, self.predicted, strict=True) if is_predicted]
        threshold = tune(dev) if dev else None
        of_names = {name: self.faithfulness[name] for name in FAITHFULNESS}
        return {
            "threshold": threshold,
            "plausibility_on_dev": plausibility(dev, threshold),
            "plausibility": plausibility(test, threshold),
            "plausibility_of_predicted": plausibility(predicted, threshold),
            "faithfulness": {
                "explanations": len(self.faithfulness[FAITHFULNESS[0]]),
                **{name: float(np.mean(values)) if values else None for name, values in of_names.items()},
            },
        }


def chosen_methods(trained: TrainedModel, names: Sequence[str]) -> list[str]:
    """Return the methods to measure: those named that work for the model, and last the random floor.

    Args:
        trained: the model.
        names: names of `attributions.METHODS`; none stands for all that take few passes, or for the model's default
            where none does.

    Raises:
        UserError: none of those named works.
    """
    working = methods_of(trained.model)
    quick = [name for name in working if name not in SLOW] or [default_method(trained.model)]
    chosen = [name for name in names or quick if name in working]
    if not chosen:
        check_method(trained.model, names[0])  # raises
    return [*dict.fromkeys(chosen), RANDOM]


def measure_evidence(
    trained: TrainedModel, data: Inputs, head: str, methods: Sequence[str], options: Explain, precision: str = "auto"
) -> dict[str, Any]:
    """Return the measures of each method.

    Args:
        trained: the model, on its device.
        data: dev and test, with the spans of gold labels where the corpus has any, and with fragments for a model on
            sentences.
        head: of the labels.
        methods: from `chosen_methods`.
        options: how many documents of each split at most, drawn from those with a span, or from all if none has one;
            how many of these, the first of test, for faithfulness; the seed of drawing documents and random weights.
        precision: in which labels are predicted.

    Returns:
        {method: {threshold, plausibility_on_dev, plausibility, plausibility_of_predicted, faithfulness}}.
    """
    scores = {method: MethodScores() for method in methods}
    for split in ("dev", "test"):
        for rank, note in enumerate(_notes(trained, data, split, head, options, precision)):
            is_predicted = note.probabilities > trained.thresholds[head]
            faithful = split == "test" and rank < (options.faithfulness_documents or len(data.splits["test"]))
            predicted = np.flatnonzero(is_predicted) if faithful else np.zeros(0, np.int64)
            labels = np.union1d(list(note.gold), predicted).astype(np.int64)
            if not len(labels):
                continue
            for method, of_method in scores.items():
                drawn = np.random.default_rng([options.seed, split == "test", note.number])
                weights = _weights(trained, note, head, labels, method, drawn)
                row_of = {label: row for row, label in enumerate(labels.tolist())}
                of_method.explanations[split] += [
                    Explanation(shares(weights[row_of[label]]), gold) for label, gold in note.gold.items()
                ]
                if split == "test":
                    of_method.predicted += [bool(is_predicted[label]) for label in note.gold]
                if len(predicted):
                    rows = weights[[row_of[label] for label in predicted.tolist()]]
                    found = faithfulness(trained.model, note.tokens, note.slices, head, predicted, rows)
                    for name, values in found.items():
                        of_method.faithfulness[name] += values.tolist()
    return {method: of_method.metrics() for method, of_method in scores.items()}


def _weights(
    trained: TrainedModel, note: Note, head: str, labels: np.ndarray, method: str, drawn: np.random.Generator
) -> np.ndarray:
    if method == RANDOM:
        return drawn.random((len(labels), len(note.tokens)))
    return token_weights(trained, note.tokens, note.slices, {head: labels}, method)[head]


def _notes(
    trained: TrainedModel, data: Inputs, name: str, head: str, options: Explain, precision: str
) -> Iterator[Note]:
    """Yield the documents of a split to explain, in the order in which they are drawn."""
    split = data.splits[name]
    spans = split.spans.get(head, np.zeros((0, 4), np.int64))
    candidates = np.unique(spans[:, 0]) if len(spans) else np.arange(len(split))
    drawn = np.random.default_rng([options.seed, name == "test"]).permutation(candidates)
    for number in drawn[: options.documents or None].tolist():
        tokens, slices = _read(trained, data.tokens, split, number)
        if not len(tokens):
            continue
        gold: dict[int, np.ndarray] = {}
        for _, label, first, behind in spans[spans[:, 0] == number].tolist():
            gold.setdefault(label, np.zeros(len(tokens), bool))[first:behind] = True
        logits = score(trained.model, tokens, slices, trained.max_tokens, len(slices), precision)[head]
        yield Note(number, tokens, slices, gold, probabilities(logits.max(axis=0)))


def _read(trained: TrainedModel, tokens: np.ndarray, split: Split, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of a document that the model reads, and the slices that it reads at a time."""
    start, end = split.offsets[number].tolist()
    if split.fragments is None:
        end = min(end, start + trained.max_tokens)
        return np.asarray(tokens[start:end]), np.array([[0, end - start]])
    fragments = split.fragments.offsets[split.fragments.documents == number] - start
    return np.asarray(tokens[start:end]), fragments[fragments[:, 0] < fragments[:, 1]]
