"""Figures of the scores: reliability of the probabilities, and risk against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from medcode.report.svg import BLUE, HEIGHT, NARROW, ORANGE, QUIET, canvas, to_svg

NOTHING = "Not measured: no decision to show."
SERIES = {"before": ("Before calibration", BLUE, "o"), "after": ("After calibration", ORANGE, "s")}
CURVES = {
    "codes": ("Predicted codes: share wrong", BLUE, "-"),
    "notes": ("Notes: 1 \N{MINUS SIGN} F1", ORANGE, (0, (5, 2))),
}
SIDE, FONT = 1.2 * HEIGHT, 10  # 12 pixels where the figure is 400 pixels wide
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")

Rows = Sequence[dict[str, Any]]


def reliability_figure(rows: Rows) -> str:
    """Draw the share of right codes over the mean probability of each bin, a panel for each head.

    Args:
        rows: of `evaluation.reliability.COLUMNS`.
    """
    title = "Reliability of the probabilities"
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with canvas(NARROW, SIDE * len(heads) or 0.5) as figure:
        if not rows:
            return _nothing(figure.subplots(), "reliability", title)
        for head, (axes,) in zip(heads, figure.subplots(len(heads), 1, squeeze=False), strict=True):
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            for name, (label, color, marker) in SERIES.items():
                points = [row for row in rows if row["head"] == head and row["probabilities"] == name]
                if points:
                    x, y = ([row[column] for row in points] for column in ("mean_probability", "share_right"))
                    axes.plot(x, y, label=label, color=color, marker=marker, markersize=4.5)
            _frame(axes, "Mean probability", "Share right on test", title if len(heads) == 1 else f"{title}, {head}")
            axes.set_ylim(0, 1)
            axes.legend(loc="upper left", fontsize=FONT)
        return to_svg(figure, "reliability", title, "; ".join(map(_bin_line, rows)))


def risk_coverage_figure(rows: Rows) -> str:
    """Draw what remains wrong if only the most confident codes or notes go without a coder, a panel for each head.

    Args:
        rows: of `evaluation.abstention.COLUMNS`.
    """
    title = "Risk against coverage"
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with canvas(NARROW, SIDE * len(heads) or 0.5) as figure:
        if not rows:
            return _nothing(figure.subplots(), "risk", title)
        for head, (axes,) in zip(heads, figure.subplots(len(heads), 1, squeeze=False), strict=True):
            for name, (label, color, style) in CURVES.items():
                points = [row for row in rows if row["head"] == head and row["of"] == name]
                x, y = ([row[column] for row in points] for column in ("coverage", "risk"))
                axes.plot(x, y, label=label, color=color, linestyle=style)
            _frame(axes, "Coverage, most confident first", "Risk", title if len(heads) == 1 else f"{title}, {head}")
            axes.set_ylim(0, None)
            axes.yaxis.set_major_formatter(PERCENT)
            axes.legend(loc="upper left", fontsize=FONT)
        return to_svg(figure, "risk", title, "; ".join(_ends(rows, heads)))


def _frame(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    axes.set_title(title, fontsize=FONT + 1)
    axes.set_xlabel(x_label, fontsize=FONT)
    axes.set_ylabel(y_label, fontsize=FONT)
    axes.tick_params(labelsize=FONT)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PERCENT)


def _nothing(axes: Axes, name: str, title: str) -> str:
    axes.set_axis_off()
    axes.text(0, 0.5, NOTHING, color=QUIET)
    return to_svg(axes.figure, name, title, NOTHING)


def _bin_line(row: dict[str, Any]) -> str:
    return (
        f"{row['head']}, {row['probabilities']} calibration: {row['decisions']:,.0f} decisions with a mean probability "
        f"of {row['mean_probability']:.3f}, {row['share_right']:.3f} of them right"
    )


def _ends(rows: Rows, heads: Sequence[str]) -> list[str]:
    lines = []
    for head in heads:
        for name in CURVES:
            points = [row for row in rows if row["head"] == head and row["of"] == name]
            lines += [f"{head}, {name}: risk {row['risk']:.3f} at a coverage of {row['coverage']:g}" for row in points]
    return lines
