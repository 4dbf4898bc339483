"""Figures of a run: F1 by frequency of the codes, learning curve, frequency of the codes, length of the notes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from medcode.report.svg import (
    BLUE,
    HEIGHT,
    INK,
    NARROW,
    ORANGE,
    PAPER,
    PHONE,
    QUIET,
    SERIES,
    THOUSANDS,
    canvas,
    grid,
    legend,
    to_svg,
    training_label,
)


def frequency_figure(rows: Sequence[dict[str, Any]], definition: str, *, phone: bool = False) -> str:
    """Draw F1 by training frequency of the codes: micro on the left, macro on the right, one row per head.

    Args:
        rows: of `evaluation.frequency.frequency_table`.
        definition: the definition of macro F1 in the rows.
        phone: whether to draw it for a narrow page, the panels of a row one below the other.
    """
    heads = list(dict.fromkeys(row["head"] for row in rows))
    with grid(len(heads), 2, phone=phone, sharey=True) as (figure, panels):
        for head, (left, right) in zip(heads, panels, strict=True):
            head_rows = [row for row in rows if row["head"] == head]
            suffix = f", {head}" if len(heads) > 1 else ""
            for axes, column, title in (
                (left, "f1_micro", f"Micro F1{suffix}"),
                (right, "f1_macro", f"Macro F1 ({definition}){suffix}"),
            ):
                _bars(axes, head_rows, column)
                axes.set_title(title)
                axes.set_xlabel(training_label(phone=phone))
            for axes in (left, right) if phone else (left,):
                axes.set_ylabel("F1 on test")
        legend(panels[0][0], phone=phone, below=0.3)
        description = "; ".join(
            f"{row['head']}, {row['group']} training documents: micro F1 {row['f1_micro']:.3f} at the fixed and "
            f"{row['f1_micro_tuned']:.3f} at the tuned threshold"
            for row in rows
        )
        return to_svg(figure, "frequency", "F1 by training frequency of the code", description)


def _bars(axes: Axes, rows: Sequence[dict[str, Any]], column: str) -> None:
    positions = np.arange(len(rows))
    for offset, name, label, color in (
        (-0.2, column, "Fixed threshold", BLUE),
        (0.2, f"{column}_tuned", "Tuned on dev", ORANGE),
    ):
        values = [row[name] for row in rows]
        bars = axes.bar(positions + offset, values, width=0.38, label=label, color=color)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=2, fontsize=7.5, color=QUIET)
    groups = [row["group"].replace("-", "\N{EN DASH}") for row in rows]
    axes.set_xticks(positions, [f"{group}\nn = {row['codes']:,.0f}" for group, row in zip(groups, rows, strict=True)])
    middle, half = (len(rows) - 1) / 2, max(len(rows), 4) / 2
    axes.set_xlim(middle - half - 0.1, middle + half + 0.1)
    axes.set_ylim(0, 1.05)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(axis="x", visible=False)


def learning_figure(rows: Sequence[dict[str, Any]], best_epoch: float, loss_unit: str, *, phone: bool = False) -> str:
    """Draw losses on the left and dev metrics on the right, by epoch, with the best epoch marked.

    With several heads, further rows show the loss of each head.

    Args:
        rows: epoch, train_loss, dev_loss, f1_micro, f1_macro and map, and train_loss_<head> and dev_loss_<head> where
            there are several heads. NaN leaves a gap.
        best_epoch: the epoch whose weights were kept; with several seeds, the mean.
        loss_unit: of what the loss is: decision or document.
        phone: as for `frequency_figure`.
    """
    heads = [column.removeprefix("train_loss_") for column in rows[0] if column.startswith("train_loss_")]
    n_rows = 1 + math.ceil(len(heads) / 2)
    with grid(n_rows, 2, phone=phone) as (figure, panels):
        (left, right), *lower_rows = panels
        _lines(left, rows, {"train_loss": "Train", "dev_loss": "Dev"}, phone=phone)
        left.set_title("Loss")
        left.set_ylabel(f"Loss per {loss_unit}")
        _lines(right, rows, {"f1_micro": "Micro F1", "f1_macro": "Macro F1", "map": "MAP"}, phone=phone)
        right.set_title("Metrics on dev")
        right.set_ylim(0, 1)
        head_panels = [axes for line in lower_rows for axes in line]
        for head, axes in itertools.zip_longest(heads, head_panels):
            if head is None:
                axes.set_axis_off()
                continue
            _lines(axes, rows, {f"train_loss_{head}": "Train", f"dev_loss_{head}": "Dev"}, phone=phone)
            axes.set_title(f"Loss, {head}")
            axes.set_ylabel(f"Loss per {loss_unit}")
        for axes in (left, right, *head_panels[: len(heads)]):
            axes.axvline(best_epoch, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(
                "best epoch", (best_epoch, 1), xycoords=("data", "axes fraction"), xytext=(-4, -2),
                textcoords="offset points", fontsize=7.5, color=QUIET, rotation=90, va="top", ha="right",
            )  # fmt: skip
        best = min(rows, key=lambda row: abs(row["epoch"] - best_epoch))
        description = (
            f"{len(rows)} epochs; in the best, epoch {best['epoch']:g}, micro F1 on dev was {best['f1_micro']:.3f}"
        )
        return to_svg(figure, "learning", "Learning curve", description)


def _lines(axes: Axes, rows: Sequence[dict[str, Any]], columns: dict[str, str], *, phone: bool) -> None:
    epochs = [row["epoch"] for row in rows]
    for (column, label), color in zip(columns.items(), SERIES, strict=False):
        axes.plot(epochs, [row[column] for row in rows], label=label, color=color, marker="o", markersize=3.5)
    legend(axes, phone=phone, handlelength=1.2, columnspacing=1)
    axes.set_xlabel("Epoch")
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", visible=False)


def label_figure(train_counts: dict[str, np.ndarray], *, phone: bool = False) -> str:
    """Draw training documents per code, most frequent code first, both axes logarithmic.

    Codes without a training document cannot be plotted. The description counts them.

    Args:
        train_counts: per head, the training documents of each label.
        phone: as for `frequency_figure`.
    """
    with canvas(PHONE if phone else NARROW, HEIGHT) as figure:
        axes = figure.subplots()
        descriptions = []
        for (head, counts), color in zip(train_counts.items(), SERIES * len(train_counts), strict=False):
            positive = np.sort(counts[counts > 0])[::-1]
            # A few hundred points draw the same line as nine thousand.
            rank = np.unique(np.geomspace(1, max(len(positive), 1), 300).round().astype(int))[: len(positive)]
            label = f"{head}: {_plural(len(counts), 'code')}"
            axes.plot(rank, positive[rank - 1], color=color, label=label, drawstyle="steps-mid")
            n_without = len(counts) - len(positive)
            median = f"; the median code has {np.median(counts):,.0f} training documents" if len(counts) else ""
            descriptions.append(label + median + (f"; {n_without:,} codes have none" if n_without else ""))
        axes.set(xscale="log", yscale="log", xlabel="Rank of the code", ylabel="Training documents")
        axes.set_title("Frequency of the codes")
        axes.legend(loc="lower left", handlelength=1.2)
        axes.margins(x=0.02)
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            axis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
            axis.set_major_formatter(THOUSANDS)
            axis.set_minor_formatter(NullFormatter())
        return to_svg(figure, "labels", "Training documents of each code", "; ".join(descriptions))


def length_figure(lengths: np.ndarray, max_tokens: int | None, unit: str = "words", *, phone: bool = False) -> str:
    """Draw the distribution of note lengths, with the median and the maximum length that the model reads.

    The longest 0.5 % of the notes share the last bar.

    Args:
        lengths: tokens of each note.
        max_tokens: the maximum number of tokens that the model reads; None if it reads whole notes.
        unit: words or subwords.
        phone: as for `frequency_figure`.
    """
    limit = max(float(np.quantile(lengths, 0.995)), 1.0)
    median = float(np.median(lengths))
    with canvas(PHONE if phone else NARROW, HEIGHT) as figure:
        axes = figure.subplots()
        clipped = np.minimum(lengths, limit)
        share = np.full(len(clipped), 1 / len(clipped))
        axes.hist(clipped, bins=np.linspace(0, limit, 41), weights=share, color=BLUE, edgecolor=PAPER, linewidth=0.5)
        axes.set_title("Length of the notes")
        axes.set_xlabel(f"{unit.capitalize()} per note")
        axes.set_ylabel("Share of notes")
        axes.xaxis.set_major_formatter(THOUSANDS)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlim(0, limit)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
        axes.grid(axis="x", visible=False)
        _mark(axes, median, f"median {median:,.0f}", INK, left=median > 0.6 * limit)
        description = f"{len(lengths):,} notes; median {median:,.0f} {unit}"
        if max_tokens is not None:
            longer = float(np.mean(lengths > max_tokens))
            description += f"; {longer:.1%} are longer than the {max_tokens:,} that the model reads"
            if max_tokens < limit:
                _mark(axes, max_tokens, f"read up to {max_tokens:,}", ORANGE, left=max_tokens > 0.6 * limit)
        return to_svg(figure, "lengths", "Length of the notes", description)


def _mark(axes: Axes, at: float, text: str, color: str, *, left: bool) -> None:
    axes.axvline(at, color=color, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        text, (at, 1), xycoords=("data", "axes fraction"), xytext=(-5 if left else 5, -3), textcoords="offset points",
        fontsize=8, color=INK, va="top", ha="right" if left else "left",
    )  # fmt: skip


def _plural(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
