"""Rows of the table of splits on the report page."""

from __future__ import annotations

from typing import Any

import numpy as np

from medcode.dataset.arrays import Inputs


def split_rows(data: Inputs, heads: list[str], max_tokens: int | None) -> list[dict[str, Any]]:
    """Return a row for each split: its documents, their lengths, and codes per document of each head.

    Args:
        data: all splits.
        heads: those that the page shows.
        max_tokens: the maximum number of tokens that the model reads; None if it reads whole notes.
    """
    rows = []
    for name, split in data.splits.items():
        lengths = np.diff(split.offsets).ravel()
        rows.append(
            {
                "name": name,
                "documents": len(lengths),
                "median": _or_zero(np.median, lengths),
                "mean": _or_zero(np.mean, lengths),
                "longest": _or_zero(np.max, lengths),
                "truncated": 0.0 if max_tokens is None else _or_zero(np.mean, lengths > max_tokens),
                "codes": [split.targets[head].matrix.nnz / max(len(lengths), 1) for head in heads],
            }
        )
    return rows


def _or_zero(function: Any, values: np.ndarray) -> float:
    return float(function(values)) if len(values) else 0.0
