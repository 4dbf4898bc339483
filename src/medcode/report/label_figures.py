"""Figures about single codes: loss of each code, effect of links, and vectors of codes and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from medcode.report.svg import (
    BLUE,
    HEIGHT,
    INK,
    ORANGE,
    PHONE,
    QUIET,
    SERIES,
    THOUSANDS,
    WIDE,
    canvas,
    grid,
    legend,
    to_svg,
    training_label,
)

COLORS = (*SERIES, INK)
MARKERS = ("o", "^", "s", "x")
BANDS = 100  # maximum number of points of a model


def loss_figure(models: Mapping[str, Sequence[dict[str, Any]]], *, phone: bool = False) -> str:
    """Draw the normalized cross entropy of each code as a point, most frequent in training first, one panel per head.

    Several models share the panels: cross entropy against focal loss, as on the slides on MARN. With more than
    `BANDS` codes, each point is the mean of neighboring codes.

    Args:
        models: for each model the rows of `evaluation.label_losses.loss_table`, at least head, rank and
            normalized_loss; NaN where it is not defined.
        phone: whether to draw it for a narrow page.
    """
    heads = list(dict.fromkeys(row["head"] for rows in models.values() for row in rows))
    descriptions = []
    with grid(len(heads), 1, phone=phone) as (figure, panels):
        for head, axes in zip(heads, panels[:, 0], strict=True):
            series = zip(models.items(), COLORS * len(models), MARKERS * len(models), strict=False)
            for (name, rows), color, marker in series:
                by_rank = sorted((row for row in rows if row["head"] == head), key=lambda row: row["rank"])
                values = np.array([row["normalized_loss"] for row in by_rank], dtype=float)
                descriptions.append(f"{name}, {head}: {_halves(values)}")
                bands = np.array_split(np.arange(len(values)), min(len(values), BANDS))
                defined = [band[~np.isnan(values[band])] for band in bands]
                rank = [band.mean() + 1 for band in bands]
                mean = [values[band].mean() if len(band) else np.nan for band in defined]
                axes.plot(rank, mean, color=color, label=name, marker=marker, markersize=4, linestyle="none")
            axes.axhline(1, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axes.set_title("Loss of each code" + (f", {head}" if len(heads) > 1 else ""))
            axes.set_xlabel("Rank of the code by training documents")
            axes.set_ylabel("Normalized cross entropy")
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_formatter(THOUSANDS)
            axes.margins(x=0.01)
        if len(models) > 1:
            figure.axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.55)
        return to_svg(
            figure, "losses", "Normalized cross entropy by training frequency of the code", "; ".join(descriptions)
        )


def _halves(values: np.ndarray) -> str:
    """Describe the mean of the more and of the less frequent half of the codes."""
    halves = [half[~np.isnan(half)] for half in np.array_split(values, 2)]
    means = [f"{half.mean():.3f}" if len(half) else "undefined" for half in halves]
    return f"on average {means[0]} for the more frequent half of the codes and {means[1]} for the other"


def map_figure(rows: Sequence[dict[str, Any]], *, phone: bool = False) -> str:
    """Draw codes and CCS categories in a plane, with up to four categories and their codes marked.

    Args:
        rows: of `evaluation.label_map.label_map`. Without rows the figure says why.
        phone: whether to draw it for a narrow page.
    """
    size = (PHONE if phone else WIDE, 1.6 * HEIGHT) if rows else (WIDE, 0.5)
    with canvas(*size) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.set(xticks=[], yticks=[])
        if not rows:
            text = "The model has no comparable vectors of both codes and CCS categories."
            axes.set_axis_off()
            axes.text(0, 0.5, text, color=QUIET)
            return to_svg(figure, "vectors", "Vectors of codes and categories", text)
        unmarked = [row for row in rows if not row["chosen"]]
        for head, marker, size in (("icd", "o", 9), ("ccs", "*", 30)):
            _points(axes, [row for row in unmarked if row["head"] == head], marker, size, QUIET, alpha=0.45)
        for number, color in enumerate(COLORS, start=1):
            group = [row for row in rows if row["chosen"] == number]
            for row in group:
                if row["head"] == "ccs":
                    _points(axes, [row], "*", 150, color, label=f"CCS {row['category']} and its codes")
                else:
                    _points(axes, [row], "o", 26, color)
                    axes.annotate(
                        row["code"].split(" ")[-1], (row["x"], row["y"]), xytext=(4, 3), textcoords="offset points",
                        fontsize=7.5, color=QUIET,
                    )  # fmt: skip
        axes.set_title("Codes and CCS categories (stars) in a plane")
        if any(row["chosen"] for row in rows):
            beside = (
                {"loc": "upper left", "bbox_to_anchor": (0, 0)}
                if phone
                else {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
            )
            axes.legend(**beside)
        return to_svg(figure, "vectors", "Vectors of codes and categories", nearest_line(rows))


def _points(
    axes: Axes, rows: Sequence[dict[str, Any]], marker: str, size: float, color: str, label: str = "", alpha: float = 1
) -> None:
    coordinates = [row["x"] for row in rows], [row["y"] for row in rows]
    axes.scatter(*coordinates, marker=marker, s=size, color=color, label=label or None, alpha=alpha, linewidths=0)


def nearest_line(rows: Sequence[dict[str, Any]]) -> str:
    """Return a sentence on the number of codes whose nearest category vector is that of their own category."""
    codes = [row for row in rows if row["head"] == "icd" and row["nearest"] >= 0]
    return (
        f"Of {len(codes):,} codes that have a category, {sum(row['nearest'] for row in codes):,.0f} have its vector "
        f"nearest among those of all categories."
    )


def linkage_figure(rows: Sequence[dict[str, Any]], definition: str, *, phone: bool = False) -> str:
    """Draw macro F1 of codes with and without a link to the other edition, by frequency, one panel per head.

    Args:
        rows: of `evaluation.frequency.linkage_table`, at least one.
        definition: the definition of macro F1 in the rows.
        phone: whether to draw it for a narrow page, the panels one below the other.
    """
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with grid(1, len(heads), phone=phone, sharey=True) as (figure, (panels,)):
        for head, axes in zip(heads, panels, strict=True):
            by_group = {(row["group"], row["linked"]): row for row in rows if row["head"] == head}
            labels = {key: f"{row['f1_macro_tuned']:.2f}\nn = {row['codes']:,.0f}" for key, row in by_group.items()}
            groups = list(dict.fromkeys(group for group, _ in by_group))
            for offset, linked, label, color in ((-0.2, "yes", "With a link", BLUE), (0.2, "no", "Without", ORANGE)):
                values = [by_group.get((group, linked), {}).get("f1_macro_tuned", np.nan) for group in groups]
                bars = axes.bar(np.arange(len(groups)) + offset, values, width=0.38, label=label, color=color)
                bar_labels = [labels.get((group, linked), "") for group in groups]
                axes.bar_label(bars, bar_labels, padding=2, fontsize=7.5, color=QUIET)
            axes.set_xticks(np.arange(len(groups)), [group.replace("-", "\N{EN DASH}") for group in groups])
            axes.set_title(f"Macro F1 ({definition}), {head}")
            axes.set_xlabel(training_label(phone=phone))
            axes.set_ylim(0, 1.15)
            axes.set_yticks(np.linspace(0, 1, 6))
            axes.grid(axis="x", visible=False)
        for axes in panels if phone else panels[:1]:
            axes.set_ylabel("F1 on test, threshold tuned on dev")
        legend(panels[0], phone=phone)
        description = "; ".join(
            f"{row['head']}, {row['group']} training documents, {'with' if row['linked'] == 'yes' else 'without'} a "
            f"link: macro F1 {row['f1_macro_tuned']:.3f}"
            for row in rows
        )
        return to_svg(figure, "linkage", "F1 of codes with and without a link to the other edition", description)
