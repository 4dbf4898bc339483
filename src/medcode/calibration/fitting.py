"""Calibration of a trained model, of each of its seeds and of the mean of their probabilities.

With several seeds the mean is calibrated, not each model before the mean is taken: the mean is what `predict` shows,
and the mean of calibrated models is not calibrated, but less sure than it should be (Rahaman and Thiery 2021). The map
of the mean is increasing too, so it changes no ranking, which maps of single models would. Each model has a calibration
besides, for its own measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from medcode.calibration import maps, thresholds
from medcode.config import CalibrationMethod, Scoring, Thresholds
from medcode.dataset import arrays
from medcode.dataset.binary_csr import as_binary_csr
from medcode.dataset.fragments import with_fragments
from medcode.engine import distributed
from medcode.inference import saved_model
from medcode.inference.calibration import Calibration, HeadCalibration, Identity, Isotonic, Temperature
from medcode.inference.scoring import MeanProbabilities, probabilities, score_split


@dataclass(frozen=True)
class Options:
    """What to learn: `calibration` and `thresholds` of params.yaml."""

    calibration: CalibrationMethod
    thresholds: Thresholds


@dataclass(frozen=True)
class Dev:
    """Dev under one head: the documents that were coded in its system.

    Attributes:
        gold: 0/1, [n, Y].
        probabilities: the model's own, float32 [n, Y].
        threshold: for all codes, that the model carries.
    """

    gold: sparse.csr_array
    probabilities: np.ndarray
    threshold: float


def fit(
    model: Path, paths: Mapping[str, Path], options: Options, machine: Scoring, batch_size: int
) -> tuple[Calibration, dict[str, Any], list[str]]:
    """Fit the calibrations of a model.

    Args:
        model: its folder.
        paths: inputs, sentences and subword: the folders of data.
        options: what to learn.
        machine: device and precision.
        batch_size: documents at a time.

    Returns:
        The calibrations; the content of metrics/calibration.json, of the mean; and lines that say what could not be
        learned.

    Raises:
        UserError: the model or the data are missing or damaged.
    """
    seeds = list(_of_seeds(model, paths, machine, batch_size))
    shared = next(saved_model.load_all(model)).thresholds
    means = MeanProbabilities()
    for of_seed in seeds:
        means.add({head: dev.probabilities for head, dev in of_seed.items()})
    mean = {head: Dev(dev.gold, means.values[head], shared[head]) for head, dev in seeds[0].items()}
    fitted = {head: fit_head(dev, options) for head, dev in mean.items()}
    of_mean = {head: calibration for head, (calibration, _) in fitted.items()}
    alone = [of_mean] if len(seeds) == 1 else [
        {head: fit_head(dev, options)[0] for head, dev in of_seed.items()} for of_seed in seeds
    ]  # fmt: skip
    lines = [
        f"note: {head}: dev has {dev.gold.nnz} gold codes, too few to calibrate on (fewer than {maps.MIN_POSITIVES}): "
        "its probabilities and its threshold stay as they are; enlarge dev (split.dev_share)"
        for head, dev in mean.items()
        if dev.gold.nnz < maps.MIN_POSITIVES
    ]
    return Calibration(alone, of_mean), {head: measured for head, (_, measured) in fitted.items()}, lines


def _of_seeds(model: Path, paths: Mapping[str, Path], machine: Scoring, batch_size: int) -> Iterator[dict[str, Dev]]:
    data: arrays.Inputs | None = None
    for path in saved_model.of_all_seeds(model).values():
        trained = saved_model.load(path)
        if data is None:
            subword = paths["subword"] if trained.tokenizer is not None else None
            data = arrays.load(paths["inputs"], ("dev",), subword=subword)
            if trained.unit == "sentences":
                data = with_fragments(data, paths["sentences"], trained.max_tokens)
        network, dev = trained.model.to(distributed.choose_device(machine.device)), data.splits["dev"]
        scores = score_split(network, data.tokens, dev, trained.max_tokens, batch_size, machine.precision)
        yield {
            head: Dev(
                as_binary_csr(dev.targets[head].coded().matrix),
                probabilities(logits[dev.targets[head].is_coded]),
                trained.thresholds[head],
            )
            for head, logits in scores.items()
        }


def fit_head(dev: Dev, options: Options) -> tuple[HeadCalibration, dict[str, Any]]:
    """Fit the calibration of a head.

    Args:
        dev: what it is fitted on.
        options: what to learn.

    Returns:
        The calibration, and its section of metrics/calibration.json.
    """
    found = maps.fit(options.calibration, dev.probabilities, dev.gold.toarray() > 0)
    measured: dict[str, Any] = {"documents": dev.gold.shape[0], "gold": dev.gold.nnz}
    measured |= {"method": found.map.kind} | _numbers(found.map) | {"threshold": found.shown(dev.threshold)}
    if options.thresholds == "global" or dev.gold.nnz < maps.MIN_POSITIVES:
        return found, measured
    chosen = thresholds.choose(dev.gold, dev.probabilities, dev.threshold)
    measured["per_code"] = {
        "strength": None if np.isinf(chosen.strength) else chosen.strength,
        "codes": int(np.count_nonzero(chosen.values != dev.threshold)),
        "f1_micro": _side_by_side(chosen, 0),
        "f1_macro": _side_by_side(chosen, 1),
    }
    return HeadCalibration(map=found.map, code_thresholds=chosen.values.tolist()), measured


def _numbers(found: Identity | Temperature | Isotonic) -> dict[str, float]:
    if isinstance(found, Temperature):
        return {"temperature": found.temperature, "bias": found.bias}
    return {"points": len(found.x)} if isinstance(found, Isotonic) else {}


def _side_by_side(chosen: thresholds.CodeThresholds, measure: int) -> dict[str, float]:
    """Return a cross-fitted measure on dev with the threshold for all codes, and with those of the codes."""
    if not chosen.f1:
        return {}
    return {"global": chosen.f1[np.inf][measure], "per_code": chosen.f1[chosen.strength][measure]}
