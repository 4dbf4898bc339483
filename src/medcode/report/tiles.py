"""Headline metrics of one head on the report page, each beside that of the linear baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medcode.report.baseline import NAME


def tiles(
    metrics: Mapping[str, Any],
    baseline: Mapping[str, Any] | None = None,
    intervals: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """Return the tiles of a head: name of a metric, its value, its interval, a note, and a line about the baseline.

    Args:
        metrics: of the head as in test.json; the numbers may be formatted texts.
        baseline: those of the linear baseline; None leaves that line empty.
        intervals: ends of the interval of each metric that has one, by its dotted path in test.json.
    """

    def at_tuned(average: str) -> str:
        return f"{score(metrics['tuned']['f1'][average])} if tuned on dev"

    values = [
        ("Micro F1", "fixed.f1.micro", metrics["fixed"]["f1"]["micro"], at_tuned("micro")),
        ("Macro F1", "fixed.f1.macro", metrics["fixed"]["f1"]["macro"], at_tuned("macro")),
        ("Macro AUC", "auc.macro", metrics["auc"]["macro"], f"micro {score(metrics['auc']['micro'])}"),
    ]
    if official := metrics.get("official"):
        note = f"F1 {score(official['f1'])}, every gold code counted"
        values.insert(0, ("Official MAP", "official.map", official["map"], note))
    precisions = [key for key in metrics["ranking"] if key.startswith("precision_at_")]
    if precisions:
        first, *further = (key.removeprefix("precision_at_") for key in precisions)
        note = ", ".join(f"at {k} {score(metrics['ranking'][f'precision_at_{k}'])}" for k in further)
        values.append((f"Precision at {first}", f"ranking.{precisions[0]}", metrics["ranking"][precisions[0]], note))
    note = f"R-precision {score(metrics['ranking']['r_precision'])}"
    values.append(("MAP", "ranking.map", metrics["ranking"]["map"], note))
    lines = [_line(tile) for tile in tiles(baseline)] if baseline else [""] * len(values)
    return [
        {
            "name": name,
            "value": value,
            "interval": _interval((intervals or {}).get(path)),
            "note": note,
            "baseline": line,
        }
        for (name, path, value, note), line in zip(values, lines, strict=True)
    ]


def _interval(ends: Sequence[float] | None) -> str:
    return f"95 %: {score(ends[0])} to {score(ends[1])}" if ends else ""


def _line(tile: Mapping[str, Any]) -> str:
    return f"{NAME} {score(tile['value'])}" + (f"; {tile['note']}" if tile["note"] else "")


def score(value: float | str | None) -> str:
    """Format a metric with three decimals; an undefined one is a dash, and a text stays as it is."""
    if isinstance(value, str):
        return value
    return "\N{EN DASH}" if value is None or np.isnan(value) else f"{value:.3f}"
