"""Figure of the measures of evidence."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from medcode.report.svg import BLUE, ORANGE, QUIET, WIDE, canvas, grid, to_svg

NOTHING = "Evidence was not measured: the corpus has no spans, or explain.enabled is false."
PANELS = (
    ("Agreement with the annotators' spans", {"f1": "F1 of tokens", "auprc": "AUPRC"}),
    ("Faithfulness to the model", {"comprehensiveness": "Comprehensiveness", "sufficiency": "Sufficiency"}),
)


def evidence_figure(rows: Sequence[dict[str, Any]], *, phone: bool = False) -> str:
    """Draw agreement with people on the left and with the model on the right, by method, a row for each head.

    Args:
        rows: of `evidence.results.rows`, NaN where nothing was measured. Without rows the figure says why.
        phone: whether to draw it for a narrow page, the panels of a row one below the other.
    """
    heads = list(dict.fromkeys(row["head"] for row in rows))
    if not rows:
        with canvas(WIDE, 0.5) as figure:
            axes = figure.subplots()
            axes.set_axis_off()
            axes.text(0, 0.5, NOTHING, color=QUIET)
            return to_svg(figure, "evidence", "Evidence by method", NOTHING)
    with grid(len(heads), 2, phone=phone, sharey=True) as (figure, panels):
        for head, line in zip(heads, panels, strict=True):
            of_head = [row for row in rows if row["head"] == head]
            for axes, (title, columns) in zip(line, PANELS, strict=True):
                _bars(axes, of_head, columns, 16 if phone else 80)
                title += f", {head}" if len(heads) > 1 else ""
                axes.set_title(textwrap.fill(title, 24) if phone else title)
        return to_svg(figure, "evidence", "Evidence by method", "; ".join(map(_description, rows)))


def _description(row: dict[str, Any]) -> str:
    names = [name for _, columns in PANELS for name in columns if not math.isnan(row[name])]
    return f"{row['head']}, {row['method']}: {', '.join(f'{name} {row[name]:.3f}' for name in names)}"


def _bars(axes: Axes, rows: Sequence[dict[str, Any]], columns: dict[str, str], width: int) -> None:
    positions = np.arange(len(rows))
    for offset, (column, label), color in zip((-0.2, 0.2), columns.items(), (BLUE, ORANGE), strict=True):
        values = [row[column] for row in rows]
        bars = axes.barh(positions + offset, np.nan_to_num(values), height=0.38, label=label, color=color)
        labels = ["" if math.isnan(value) else f"{value:.2f}" for value in values]
        axes.bar_label(bars, labels, padding=2, fontsize=7.5, color=QUIET)
    axes.set_yticks(positions, [textwrap.fill(row["method"].replace("_", " "), width) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    lowest = np.nanmin([0, *(row[column] for row in rows for column in columns)])  # comprehensiveness may be negative
    axes.set_xlim(1.2 * lowest, 1.1)
    axes.grid(axis="y", visible=False)
    if all(math.isnan(row[column]) for row in rows for column in columns):
        axes.text(0.05, 0, "Not measured", color=QUIET)
    axes.legend(loc="upper right", bbox_to_anchor=(1, -0.07), ncols=2)
