"""The measures of evidence as a table, a row for each method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RANDOM = "random"  # the floor: weights that are drawn
PLAUSIBILITY = ("f1", "precision", "recall", "auprc", "iou", "precision_at_1", "span_recall", "without_tokens")
FAITHFULNESS = ("comprehensiveness", "sufficiency")
COLUMNS = ["head", "method", "threshold", *PLAUSIBILITY, *FAITHFULNESS]


def rows(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the table; what was not measured is None.

    Args:
        measured: {head: result of `measurement.measure_evidence`}.
    """
    return [
        {"head": head, "method": method, "threshold": of_method["threshold"]}
        | {name: of_method["plausibility"][name] for name in PLAUSIBILITY}
        | {name: of_method["faithfulness"][name] for name in FAITHFULNESS}
        for head, of_head in measured.items()
        for method, of_method in of_head.items()
    ]
