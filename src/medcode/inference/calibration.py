"""models/calibration: maps from a model's probabilities to calibrated ones, and thresholds of single codes.

A map is increasing. Codes are chosen by the model's own probabilities, so a map changes what is shown and no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from medcode import io
from medcode.errors import UserError
from medcode.inference.folder_schema import Name, Probability, checked

FORMAT, FILE = 1, "calibration.json"
AGAIN = "make it again (dvc repro)"
Finite = Annotated[float, Field(allow_inf_nan=False)]
# A probability in float32 is 1 above this, and its log-odds infinite.
_LOWEST, _HIGHEST = float(np.finfo(np.float32).tiny), 1 - 2.0**-24


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities, float64 and finite, of the same shape."""
    kept = np.clip(np.asarray(probabilities, np.float64), _LOWEST, _HIGHEST)
    return np.log(kept) - np.log1p(-kept)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Identity(_Part):
    """Leaves probabilities as they are."""

    kind: Literal["identity"] = "identity"

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return probabilities


class Temperature(_Part):
    """The sigmoid of logit / temperature + bias. Source: Guo et al. 2017, section 4.2; with the bias, Platt 1999."""

    kind: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    bias: Finite

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, float32; 0 stays 0."""
        logits = log_odds(probabilities) / self.temperature + self.bias
        return np.where(np.asarray(probabilities) > 0, np.exp(-np.logaddexp(0, -logits)), 0).astype(np.float32)


class Isotonic(_Part):
    """Linear interpolation between points that ascend strictly, from (0, 0) to (1, 1)."""

    kind: Literal["isotonic"] = "isotonic"
    x: Annotated[list[Probability], Field(min_length=2)]
    y: list[Probability]

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        for values in (self.x, self.y):
            if len(values) != len(self.x) or [values[0], values[-1]] != [0, 1] or not (np.diff(values) > 0).all():
                raise ValueError("expected as many x as y, each ascending from 0 to 1")
        return self

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, float32."""
        return np.interp(np.asarray(probabilities, np.float64), self.x, self.y).astype(np.float32)


class HeadCalibration(_Part):
    """The map of a head's probabilities, and the thresholds of its codes.

    Attributes:
        map: increasing.
        code_thresholds: of each label, for the model's own probabilities; None for one threshold for all.
    """

    map: Annotated[Identity | Temperature | Isotonic, Field(discriminator="kind")]
    code_thresholds: list[Probability] | None = None

    def shown(self, threshold: float) -> float:
        """Return a threshold of the model's probabilities on the scale of the calibrated ones."""
        return threshold if isinstance(self.map, Identity) else float(self.map(np.array(threshold)))

    def decide(self, probabilities: np.ndarray, threshold: float) -> np.ndarray:
        """Return which codes are predicted, bool [..., Y].

        Args:
            probabilities: the model's own, float32 [..., Y].
            threshold: of all codes, where codes have none of their own.
        """
        limits = threshold if self.code_thresholds is None else np.array(self.code_thresholds)
        return probabilities > np.asarray(limits, probabilities.dtype)


NOTHING = HeadCalibration(map=Identity())
Heads = Mapping[str, HeadCalibration]


class _File(_Part):
    """calibration.json."""

    format: Literal[1]
    models: Annotated[list[Name], Field(min_length=1)]
    seeds: list[dict[Name, HeadCalibration]]
    mean: dict[Name, HeadCalibration]


_SCHEMA = TypeAdapter(_File)


@dataclass(frozen=True)
class Calibration:
    """The calibrations of a model.

    Attributes:
        seeds: of the model of each seed, by head, in the order of `saved_model.of_all_seeds`.
        mean: of the mean of their probabilities; that of the only seed, if there is one.
    """

    seeds: Sequence[Heads]
    mean: Heads


def write(folder: Path, calibration: Calibration, models: Sequence[str]) -> None:
    """Write the folder, all or nothing; `read` reads it.

    Args:
        folder: models/calibration.
        calibration: of the models.
        models: digests of the weights of each seed.
    """

    def plain(heads: Heads) -> dict[str, Any]:
        return {head: of_head.model_dump() for head, of_head in heads.items()}

    content = {"format": FORMAT, "models": list(models), "seeds": [plain(heads) for heads in calibration.seeds]}
    with io.atomic_folder(folder) as target:
        io.write_json(target / FILE, content | {"mean": plain(calibration.mean)})


def read(folder: Path, models: Sequence[str], labels: Mapping[str, int]) -> Calibration | None:
    """Read the calibrations of a model; None if it has none.

    Args:
        folder: of `write`, or one that was left empty.
        models: digests of the weights of each seed.
        labels: number of labels of each head.

    Raises:
        UserError: the file is damaged, or was made for another model.
    """
    path = folder / FILE
    if not path.exists():
        return None
    values = io.read_json(path)
    if isinstance(values, dict) and values.get("format") != FORMAT:
        raise UserError(f"{path}: written in format {values.get('format')}, this version reads {FORMAT}; {AGAIN}")
    found = checked(_SCHEMA, values, path, AGAIN)
    if found.models != list(models):
        raise UserError(f"{folder}: made for another model than this one; {AGAIN}")
    if len(found.seeds) != len(models):
        raise UserError(f"{path}: damaged, seeds: expected {len(models)}, found {len(found.seeds)}; {AGAIN}")
    for heads in (*found.seeds, found.mean):
        _check_heads(heads, labels, path)
    return Calibration(found.seeds, found.mean)


def _check_heads(heads: Heads, labels: Mapping[str, int], path: Path) -> None:
    if heads.keys() != labels.keys():
        raise UserError(
            f"{path}: damaged, heads: expected {', '.join(labels)}, found {', '.join(heads) or 'none'}; {AGAIN}"
        )
    for head, of_head in heads.items():
        thresholds = of_head.code_thresholds
        if thresholds is not None and len(thresholds) != labels[head]:
            raise UserError(
                f"{path}: damaged, {head}.code_thresholds: expected {labels[head]}, found {len(thresholds)}; {AGAIN}"
            )
