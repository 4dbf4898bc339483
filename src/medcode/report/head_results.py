"""Results of one head on the report page: tiles, table of metrics, and a sentence about its codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medcode.config import Evaluation
from medcode.dataset.arrays import Inputs
from medcode.report import metric_rows
from medcode.report.tiles import score, tiles


def head_results(
    name: str,
    test: Mapping[str, Any],
    options: Evaluation,
    data: Inputs,
    seeds: Mapping[str, Any],
    baseline: Mapping[str, Any],
    intervals: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the page shows of a head.

    Args:
        name: of the head.
        test: metrics/test.json.
        options: how it was evaluated.
        data: documents and labels.
        seeds: metrics/seeds.json.
        baseline: metrics/baseline.json.
        intervals: metrics/intervals.json.
    """
    metrics = test[name]
    formatted = _with_spread(metrics, seeds.get("standard_deviation", {}).get(name))
    ensemble = seeds.get("ensemble", {}).get(name)
    return {
        "name": name,
        "tiles": tiles(formatted, baseline.get(name), intervals.get(name)),
        "ensemble": tiles(ensemble) if ensemble else [],
        "fixed": metrics["fixed"]["threshold"],
        "tuned": metrics["tuned"]["threshold"],
        "groups": metric_rows.groups(formatted),
        "labels": _labels(name, metrics, data.train_counts(name), options),
    }


def _with_spread(value: Any, spread: Any) -> Any:
    """Format metrics with their standard deviations, nested as before. Without deviations they stay numbers."""
    if isinstance(value, Mapping):
        return {key: _with_spread(item, (spread or {}).get(key)) for key, item in value.items()}
    return (
        value
        if spread is None
        else f"{score(value)}\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{spread:.3f}"
    )


def _labels(name: str, metrics: Mapping[str, Any], train_counts: np.ndarray, options: Evaluation) -> str:
    counts, official = metrics["counts"], metrics.get("official", {})
    text = (
        f"Head {name}: {counts['labels']:,} codes, {counts['labels_in_gold']:,} of them in test; the median code has "
        f"{np.median(train_counts):,.0f} training documents."
    )
    if options.labels == "present":
        text += (
            f" Metrics but AUC are over the {counts['labels_measured']:,} codes in test and the "
            f"{counts['documents_measured']:,} notes of test with a code."
        )
    if official.get("gold_outside_label_set"):
        text += (
            f" {official['gold_outside_label_set']:,} gold codes of test are in no training document, hence no label."
        )
    return text
