"""Measures of the evidence of a trained model, the mean over its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcode.config import Explain, Scoring
from medcode.dataset import arrays
from medcode.dataset.fragments import with_fragments
from medcode.dataset.spans import CODE_HEADS, with_spans
from medcode.engine import distributed
from medcode.evaluation import seeds
from medcode.evidence.measurement import chosen_methods, measure_evidence
from medcode.inference import saved_model
from medcode.inference.saved_model import TrainedModel

ALL_TOKENS = 2**40  # a model on sentences reads all of them


def of_model(
    model: Path, paths: Mapping[str, Path], options: Explain, machine: Scoring, has_spans: bool
) -> dict[str, Any]:
    """Return the measures of each method, by head.

    Args:
        model: folder of the model.
        paths: inputs, sentences and subword: the folders of data.
        options: what to measure.
        machine: the device, and the precision in which codes are predicted.
        has_spans: whether the corpus has spans.

    Raises:
        UserError: the model or the data are missing or damaged, or no method that was asked for works for the model.
    """
    data, of_seeds = None, []
    for path in saved_model.of_all_seeds(model).values():
        trained = saved_model.load(path)
        trained.model.to(distributed.choose_device(machine.device))
        if data is None:
            data = _load(trained, paths, has_spans)
        methods = chosen_methods(trained, options.methods)
        heads = [head for head in trained.labels if head in CODE_HEADS]
        of_seeds.append(
            {head: measure_evidence(trained, data, head, methods, options, machine.precision) for head in heads}
        )
    return seeds.mean(of_seeds)


def _load(trained: TrainedModel, paths: Mapping[str, Path], has_spans: bool) -> arrays.Inputs:
    subword = paths["subword"] if trained.tokenizer is not None else None
    data = arrays.load(paths["inputs"], ("dev", "test"), subword=subword)
    if has_spans:
        on_sentences = trained.unit == "sentences"
        data = with_spans(data, paths["sentences"], trained.labels, ALL_TOKENS if on_sentences else trained.max_tokens)
        if on_sentences:
            data = with_fragments(data, paths["sentences"], trained.max_tokens)
    return data
