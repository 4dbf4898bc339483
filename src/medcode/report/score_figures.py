"""Figures of the scores: reliability of the probabilities, and risk against coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    def panel(axes: Axes, of_head: Rows) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for name, (label, color, marker) in SERIES.items():
            points = [row for row in of_head if row["probabilities"] == name]
            if points:
                x, y = ([row[column] for row in points] for column in ("mean_probability", "share_right"))
                axes.plot(x, y, label=label, color=color, marker=marker, markersize=4.5)
        _label(axes, "Mean probability", "Share right on test")
        axes.set_ylim(0, 1)

    return _figure("reliability", "Reliability of the probabilities", rows, panel, map(_bin_line, rows))


def risk_coverage_figure(rows: Rows) -> str:
    """Draw what remains wrong if only the most confident codes or notes go without a coder, a panel for each head.

    Args:
        rows: of `evaluation.abstention.COLUMNS`.
    """

    def panel(axes: Axes, of_head: Rows) -> None:
        for name, (label, color, style) in CURVES.items():
            points = [row for row in of_head if row["of"] == name]
            x, y = ([row[column] for row in points] for column in ("coverage", "risk"))
            axes.plot(x, y, label=label, color=color, linestyle=style)
        _label(axes, "Coverage, most confident first", "Risk")
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter(PERCENT)

    return _figure("risk", "Risk against coverage", rows, panel, map(_point_line, rows))


def _figure(name: str, title: str, rows: Rows, panel: Callable[[Axes, Rows], None], lines: Iterable[str]) -> str:
    """Draw a panel for each head; without rows say that there is nothing."""
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with canvas(NARROW, SIDE * len(heads) or 0.5) as figure:
        if not rows:
            axes = figure.subplots()
            axes.set_axis_off()
            axes.text(0, 0.5, NOTHING, color=QUIET)
            return to_svg(figure, name, title, NOTHING)
        for head, (axes,) in zip(heads, figure.subplots(len(heads), 1, squeeze=False), strict=True):
            panel(axes, [row for row in rows if row["head"] == head])
            axes.set_title(title if len(heads) == 1 else f"{title}, {head}", fontsize=FONT + 1)
            axes.legend(loc="upper left", fontsize=FONT)
        return to_svg(figure, name, title, "; ".join(lines))


def _label(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label, fontsize=FONT)
    axes.set_ylabel(y_label, fontsize=FONT)
    axes.tick_params(labelsize=FONT)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PERCENT)


def _bin_line(row: dict[str, Any]) -> str:
    return (
        f"{row['head']}, {row['probabilities']} calibration: {row['decisions']:,.0f} decisions with a mean probability "
        f"of {row['mean_probability']:.3f}, {row['share_right']:.3f} of them right"
    )


def _point_line(row: dict[str, Any]) -> str:
    return f"{row['head']}, {row['of']}: risk {row['risk']:.3f} at a coverage of {row['coverage']:g}"
