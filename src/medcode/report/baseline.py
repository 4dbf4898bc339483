"""The result of a model beside that of the linear baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "linear baseline"
BASELINE_MODEL = "linear"
HINT = (
    "train for more epochs if the learning curve (plots/learning_curve.svg) still rises; with few notes, choose the "
    "model's recipe `small` if it has one"
)


def lines(model: str, test: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Compare the micro F1 of each head with that of the linear baseline, a line for each; thresholds tuned on dev.

    Args:
        model: its name.
        test: metrics/test.json.
        baseline: metrics/baseline.json; empty where it is switched off.

    Returns:
        No line for a head without a baseline.
    """
    heads = [head for head in test if head in baseline]
    return [_line(model, "" if len(test) == 1 else f"{head}: ", test[head], baseline[head]) for head in heads]


def _line(model: str, head: str, test: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    micro, floor = (metrics["tuned"]["f1"]["micro"] for metrics in (test, baseline))
    if micro > floor or model == BASELINE_MODEL:
        return f"{head}micro F1 {micro:.3f}, {NAME} {floor:.3f} (thresholds tuned on dev)"
    return f"note: {head}micro F1 {micro:.3f} does not pass the {NAME}'s {floor:.3f} (thresholds tuned on dev); {HINT}"
