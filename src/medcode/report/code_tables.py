"""Tables of the results of each code on the report page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcode.evaluation.small_counts import SUPPRESSED

SHOWN = 50  # codes of a head, the most frequent in training
COUNTS = ("train_documents", "gold", "predicted", "correct")
RATIOS = ("precision", "recall", "f1", "auc")
NOTHING = "\N{EN DASH}"


def code_tables(rows: Sequence[Mapping[str, str]], heads: Sequence[str]) -> list[dict[str, Any]]:
    """Return a table for each head with codes: name, number of codes, whether counts are suppressed, and shown rows.

    Args:
        rows: of plots/codes.csv, the cells as texts.
        heads: those that the page shows, in this order.
    """
    of_heads = {head: [row for row in rows if row["head"] == head] for head in heads}
    return [
        {
            "head": head,
            "codes": len(of_head),
            "suppressed": any(SUPPRESSED in row.values() or not row["correct"] for row in of_head),
            "rows": [_cells(row) for row in of_head[:SHOWN]],
        }
        for head, of_head in of_heads.items()
        if of_head
    ]


def _cells(row: Mapping[str, str]) -> dict[str, Any]:
    return {
        "code": f"{row['system']} {row['code']}",
        "description": row["description"],
        "numbers": [_count(row[name]) for name in COUNTS] + [_ratio(row[name]) for name in RATIOS],
        "confusions": row["confusions"].split("; ") if row["confusions"] else [],
    }


def _count(cell: str) -> str:
    if cell in ("", SUPPRESSED):
        return cell or NOTHING
    count = float(cell)  # a mean over seeds has decimals
    return f"{count:,.0f}" if count.is_integer() else f"{count:,.1f}"


def _ratio(cell: str) -> str:
    return f"{float(cell):.3f}" if cell else NOTHING
