"""Results of a cross-validation: mean and standard deviation over folds, and what each fold chose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcode import io
from medcode.evaluation import seeds

RUN = ("model", "recipe", "corpus", "label_set")  # keys of metrics/train.json
EPOCHS = ("best_epoch", "epochs_run")  # likewise


def read(folder: Path) -> dict[str, Any]:
    """Read the results of one fold: `train` as metrics/train.json; `dev` and `seeds` as test.json and seeds.json.

    Raises:
        UserError: a file is missing or damaged.
    """
    return {name: io.read_json(folder / f"{name}.json") for name in ("train", "dev", "seeds")}


def summarize(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Build the contents of metrics/crossval.json.

    Args:
        folds: results of `read`, in the order of the folds.

    Returns:
        The run, the number of folds, `mean` and sample `standard_deviation` over the folds of epochs and of the metrics
        on dev by head, and the choices and headline metrics of each fold. A metric that some fold lacks is left out.
    """
    measured = _shared([_measured(fold) for fold in folds])
    return {
        **seeds.mean([{key: fold["train"][key] for key in RUN} for fold in folds]),
        "folds": len(folds),
        "mean": seeds.mean(measured),
        "standard_deviation": seeds.deviation(measured),
        "by_fold": {str(number): _choices(fold) for number, fold in enumerate(folds)},
    }


def lines(summary: dict[str, Any]) -> list[str]:
    """Say the headline metrics in a line for each head, and the epochs."""

    def text(*path: str, decimals: int = 3) -> str:
        mean, deviation = summary["mean"], summary["standard_deviation"]
        for key in path:
            mean, deviation = mean[key], deviation[key]
        return f"{mean:.{decimals}f} \N{PLUS-MINUS SIGN} {deviation:.{decimals}f}"

    found = []
    for head in next(iter(summary["by_fold"].values()))["threshold"]:
        micro, threshold = text(head, "tuned", "f1", "micro"), text(head, "tuned", "threshold")
        found.append(
            f"{head}: micro F1 {micro} at the threshold {threshold}, MAP {text(head, 'ranking', 'map')} on dev"
        )
        if "official" in summary["mean"][head]:
            found.append(f"{head}: official F1 {text(head, 'official', 'f1')}, MAP {text(head, 'official', 'map')}")
    return [*found, f"best epoch {text('best_epoch', decimals=1)} of {summary['folds']} folds"]


def _measured(fold: dict[str, Any]) -> dict[str, Any]:
    ensemble = {"ensemble": fold["seeds"]["ensemble"]} if fold["seeds"] else {}
    return {key: fold["train"][key] for key in EPOCHS} | fold["dev"] | ensemble


def _choices(fold: dict[str, Any]) -> dict[str, Any]:
    dev = fold["dev"]
    chosen = {key: fold["train"][key] for key in EPOCHS} | {
        "threshold": {head: metrics["tuned"]["threshold"] for head, metrics in dev.items()},
        "f1_micro": {head: metrics["tuned"]["f1"]["micro"] for head, metrics in dev.items()},
        "map": {head: metrics["ranking"]["map"] for head, metrics in dev.items()},
    }
    if official := {head: metrics["official"] for head, metrics in dev.items() if "official" in metrics}:
        chosen |= {
            f"official_{key}": {head: of_head[key] for head, of_head in official.items()} for key in ("f1", "map")
        }
    return chosen


def _shared(values: Sequence[Any]) -> list[Any]:
    """Return nested mappings with only the keys that all have: metrics at k, for one, need so many codes."""
    if not isinstance(values[0], dict):
        return list(values)
    keys = [key for key in values[0] if all(key in value for value in values)]
    columns = [_shared([value[key] for value in values]) for key in keys]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
