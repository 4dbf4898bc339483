"""Figures about single codes: what each costs the model, whether links help it, where it lies beside its category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from medcode.report.figures import BLUE, HEIGHT, INK, ORANGE, QUIET, SERIES, THOUSANDS, WIDE, canvas, to_svg

COLOURS = (*SERIES, INK)
BANDS = 100  # points of a line at most


def loss_figure(models: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Draws the normalised cross entropy of each code, the most frequent in training on the left; one panel per head.

    Several models share the panels: cross entropy against focal loss, as on the slides on MARN. Of more than a hundred
    codes, neighbours share a point, their mean.

    Args:
        models: for each model the rows of `evaluation.label_losses.loss_table`, at least head, rank and
            normalised_loss; NaN where it is not defined.
    """
    heads = list(dict.fromkeys(row["head"] for rows in models.values() for row in rows))
    told = []
    with canvas(WIDE, HEIGHT * len(heads)) as figure:
        for head, axes in zip(heads, figure.subplots(len(heads), squeeze=False)[:, 0], strict=True):
            for (name, rows), colour in zip(models.items(), COLOURS * len(models), strict=False):
                own = sorted((row for row in rows if row["head"] == head), key=lambda row: row["rank"])
                values = np.array([row["normalised_loss"] for row in own], dtype=float)
                told.append(f"{name}, {head}: {_halves(values)}")
                bands = np.array_split(np.arange(len(values)), min(len(values), BANDS))
                defined = [band[~np.isnan(values[band])] for band in bands]
                rank = [band.mean() + 1 for band in bands]
                mean = [values[band].mean() if len(band) else np.nan for band in defined]
                axes.plot(rank, mean, color=colour, label=name, marker="o", markersize=3, linewidth=1)
            axes.axhline(1, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axes.set_title("Loss of each code" + (f", {head}" if len(heads) > 1 else ""))
            axes.set_xlabel("Rank of the code by training documents")
            axes.set_ylabel("Normalised cross entropy")
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_formatter(THOUSANDS)
            axes.margins(x=0.01)
        if len(models) > 1:
            figure.axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.55)
        return to_svg(figure, "losses", "Normalised cross entropy by training frequency of the code", "; ".join(told))


def _halves(values: np.ndarray) -> str:
    """The mean of the more and of the less frequent half of the codes."""
    halves = [half[~np.isnan(half)] for half in np.array_split(values, 2)]
    means = [f"{half.mean():.3f}" if len(half) else "undefined" for half in halves]
    return f"on average {means[0]} for the more frequent half of the codes and {means[1]} for the other"


def map_figure(rows: Sequence[dict[str, Any]]) -> str:
    """Draws codes and CCS categories in a plane, with up to four categories and their codes marked.

    Args:
        rows: as `evaluation.label_map.label_map` makes them; none makes a figure that says why.
    """
    with canvas(WIDE, 1.6 * HEIGHT if rows else 0.5) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.set(xticks=[], yticks=[])
        if not rows:
            text = "The model has no comparable vectors of both codes and CCS categories."
            axes.set_axis_off()
            axes.text(0, 0.5, text, color=QUIET)
            return to_svg(figure, "vectors", "Vectors of codes and categories", text)
        others = [row for row in rows if not row["chosen"]]
        for head, marker, size in (("icd", "o", 9), ("ccs", "*", 30)):
            _points(axes, [row for row in others if row["head"] == head], marker, size, QUIET, alpha=0.45)
        for number, colour in enumerate(COLOURS, start=1):
            group = [row for row in rows if row["chosen"] == number]
            for row in group:
                if row["head"] == "ccs":
                    _points(axes, [row], "*", 150, colour, label=f"CCS {row['category']} and its codes")
                else:
                    _points(axes, [row], "o", 26, colour)
                    axes.annotate(
                        row["code"].split(" ")[-1], (row["x"], row["y"]), xytext=(4, 3), textcoords="offset points",
                        fontsize=7.5, color=QUIET,
                    )  # fmt: skip
        axes.set_title("Codes and CCS categories (stars) in a plane")
        if any(row["chosen"] for row in rows):
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return to_svg(figure, "vectors", "Vectors of codes and categories", nearest_line(rows))


def _points(
    axes: Axes, rows: Sequence[dict[str, Any]], marker: str, size: float, colour: str, label: str = "", alpha: float = 1
) -> None:
    places = [row["x"] for row in rows], [row["y"] for row in rows]
    axes.scatter(*places, marker=marker, s=size, color=colour, label=label or None, alpha=alpha, linewidths=0)


def nearest_line(rows: Sequence[dict[str, Any]]) -> str:
    """Says in one line for how many codes the vector of their own category is the nearest."""
    asked = [row for row in rows if row["head"] == "icd" and row["nearest"] >= 0]
    return (
        f"Of {len(asked):,} codes that have a category, {sum(row['nearest'] for row in asked):,.0f} have its vector "
        f"nearest among those of all categories."
    )


def linkage_figure(rows: Sequence[dict[str, Any]], definition: str) -> str:
    """Draws macro F1 of codes with and without a link to the other edition, by frequency, one panel per head.

    Args:
        rows: as `evaluation.frequency.linkage_table` makes them, at least one.
        definition: the definition of macro F1 that the rows hold.
    """
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with canvas(WIDE, HEIGHT) as figure:
        panels = figure.subplots(1, len(heads), sharey=True, squeeze=False)[0]
        for head, axes in zip(heads, panels, strict=True):
            own = {(row["group"], row["linked"]): row for row in rows if row["head"] == head}
            told = {key: f"{row['f1_macro_tuned']:.2f}\nn = {row['codes']:,.0f}" for key, row in own.items()}
            groups = list(dict.fromkeys(group for group, _ in own))
            for offset, linked, label, colour in ((-0.2, "yes", "With a link", BLUE), (0.2, "no", "Without", ORANGE)):
                values = [own.get((group, linked), {}).get("f1_macro_tuned", np.nan) for group in groups]
                bars = axes.bar(np.arange(len(groups)) + offset, values, width=0.38, label=label, color=colour)
                shown = [told.get((group, linked), "") for group in groups]
                axes.bar_label(bars, shown, padding=2, fontsize=7.5, color=QUIET)
            axes.set_xticks(np.arange(len(groups)), [group.replace("-", "\N{EN DASH}") for group in groups])
            axes.set_title(f"Macro F1 ({definition}), {head}")
            axes.set_xlabel("Training documents of the code (n: number of codes)")
            axes.set_ylim(0, 1.15)
            axes.set_yticks(np.linspace(0, 1, 6))
            axes.grid(axis="x", visible=False)
        panels[0].set_ylabel("F1 on test, threshold tuned on dev")
        panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.55)
        description = "; ".join(
            f"{row['head']}, {row['group']} training documents, {'with' if row['linked'] == 'yes' else 'without'} a "
            f"link: macro F1 {row['f1_macro_tuned']:.3f}"
            for row in rows
        )
        return to_svg(figure, "linkage", "F1 of codes with and without a link to the other edition", description)
