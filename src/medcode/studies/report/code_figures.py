"""Figures about groups of codes: frequent and rare codes, and codes with and without a link."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from medcode.report.label_figures import BANDS, loss_figure
from medcode.report.svg import QUIET, WIDE, canvas, to_svg
from medcode.studies.definition.study import Study
from medcode.studies.report.comparison_tables import ComparisonTable
from medcode.studies.report.figure_data import MORE, Number, StudyFigure
from medcode.studies.results import run_results
from medcode.studies.results.run_results import Run, Runs, Summary

Bars = dict[str, list[Number]]  # {row: its numbers}


def frequency_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw macro F1 by training frequency of the codes, with a bar for each row."""
    comparison, figures = tables[0], {}
    column = run_results.group_column(comparison.table)
    for group in comparison.table.groups:
        rows = _seed_runs(study, comparison, group, runs)
        if not rows:
            continue
        codes = {
            line["group"]: int(line["codes"])
            for seed_runs, head in rows.values()
            for line in seed_runs[0].table("frequency_f1.csv", head)
        }
        bars = {
            row: [
                _number(study, row, label, codes[label], column, summary)
                for label, summary in _by_group(seed_runs, head, codes, column)
            ]
            for row, (seed_runs, head) in rows.items()
        }
        name = f"frequency-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, bars, [f"{label}\nn = {number:,}" for label, number in codes.items()])
            axes.set_xlabel("Training documents of the code (n: number of codes)")
            text = "; ".join(f"{numbers[0].title} {numbers[0].summary.mean:.1f}" for numbers in bars.values())
            figures[name] = StudyFigure(
                to_svg(page, name, f"Macro F1 by training frequency, {group}", f"In the rarest group: {text}"),
                f"Macro F1 by training frequency of the code, {group}",
                f"Macro F1 as {comparison.table.macro_f1} within each group; bars: mean over seeds, "
                "lines: sample standard deviation.",
                _all(bars),
            )
    return figures


def _seed_runs(study: Study, comparison: ComparisonTable, group: str, runs: Runs) -> dict[str, tuple[list[Run], str]]:
    """Return {row: (trainings, head)} of the rows that were trained for a group of columns."""
    by_row = {}
    for row in study.definition.rows:
        position = run_results.label_set_and_head(comparison.table, group, study.label_sets(row))
        if position and runs[row, position[0]]:
            by_row[row] = (runs[row, position[0]], position[1])
    return by_row


def _by_group(seed_runs: list[Run], head: str, groups: Sequence[str], column: str) -> list[tuple[str, Summary]]:
    """Return a column summarized over the seeds, in percent, by frequency group."""
    tables = [
        {line["group"]: 100 * float(line[column]) for line in run.table("frequency_f1.csv", head)} for run in seed_runs
    ]
    return [(group, Summary(tuple(table.get(group, math.nan) for table in tables))) for group in groups]


def _number(study: Study, row: str, group: str, codes: int, metric: str, summary: Summary, linked: str = "") -> Number:
    return Number(row, study.definition.rows[row].title, group, codes, metric, summary, linked)


def _all(bars: Bars) -> tuple[Number, ...]:
    return tuple(number for numbers in bars.values() for number in numbers)


def _grouped_bars(axes: Axes, bars: Bars, labels: list[str]) -> None:
    width = 0.8 / len(bars)
    for number, numbers in enumerate(bars.values()):
        x = np.arange(len(labels)) + (number - (len(bars) - 1) / 2) * width
        means = [bar.summary.mean for bar in numbers]
        deviations = np.nan_to_num([bar.summary.deviation for bar in numbers])
        axes.bar(x, means, width * 0.92, yerr=deviations, label=numbers[0].title, color=MORE[number % len(MORE)],
                 error_kw={"ecolor": QUIET, "elinewidth": 1, "capsize": 2})  # fmt: skip
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel("Macro F1, percent")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(bars), 4), borderaxespad=0.3)


def linkage_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw macro F1 of the rarest codes, with and without a link to the other edition of ICD."""
    comparison, figures = tables[0], {}
    column = run_results.group_column(comparison.table)
    for group in comparison.table.groups:
        rows = _seed_runs(study, comparison, group, runs)
        link_tables = {
            row: [run.table("linkage_f1.csv", head) for run in seed_runs] for row, (seed_runs, head) in rows.items()
        }
        link_tables = {row: seed_runs for row, seed_runs in link_tables.items() if all(seed_runs)}
        if not link_tables:
            continue
        rarest = next(
            line["group"] for seed_runs in link_tables.values() for line in seed_runs[0] if line["group"] != "0"
        )
        titles = {"yes": "With a link", "no": "Without"}
        bars = {
            row: [_linked(study, row, seed_runs, rarest, linked, column) for linked in titles]
            for row, seed_runs in link_tables.items()
        }
        codes = [number.codes for number in list(bars.values())[-1]]
        name = f"linkage-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, bars, [f"{title}\nn = {n:,}" for title, n in zip(titles.values(), codes, strict=True)])
            text = "; ".join(
                f"{with_link.title} {with_link.summary.mean:.1f} and {without.summary.mean:.1f}"
                for with_link, without in bars.values()
            )
            figures[name] = StudyFigure(
                to_svg(page, name, f"Rare codes with and without a GEM link, {group}", text),
                f"Codes of {rarest} training documents, with and without a GEM link, {group}",
                f"Macro F1 as {comparison.table.macro_f1}; n: number of codes. "
                "Bars: mean over seeds, lines: deviation.",
                _all(bars),
            )
    return figures


def _linked(study: Study, row: str, tables: list[list[dict[str, str]]], group: str, linked: str, column: str) -> Number:
    lines = [line for table in tables for line in table if (line["group"], line["linked"]) == (group, linked)]
    codes = int(float(lines[0]["codes"])) if lines else 0
    summary = Summary(tuple(100 * float(line[column]) for line in lines) or (0.0,))
    return _number(study, row, group, codes, column, summary, linked)


def loss_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw the normalized cross entropy of each code on test, by frequency rank, in one color per row."""
    figures = {}
    for group in tables[0].table.groups:
        models, numbers = {}, []
        for row, (seed_runs, head) in _seed_runs(study, tables[0], group, runs).items():
            loss_tables = [run.table("label_losses.csv", head) for run in seed_runs]
            ranks = [float(line["rank"]) for line in loss_tables[0]]
            losses = np.array([[float(line["normalized_loss"] or "nan") for line in table] for table in loss_tables])
            models[study.definition.rows[row].title] = [
                {"head": head, "rank": rank, "normalized_loss": loss}
                for rank, loss in zip(ranks, losses.mean(axis=0), strict=True)
            ]
            numbers += _bands(study, row, losses[:, np.argsort(ranks)])
        if models:
            caption = "On test, means over seeds; 1 is the loss of giving every note the code's frequency."
            title = "Loss of each code, by its training frequency"
            figures[f"loss-{group}"] = StudyFigure(loss_figure(models), title, caption, tuple(numbers))
    return figures


def _bands(study: Study, row: str, losses: np.ndarray) -> list[Number]:
    """Return the points of a row. Codes with neighboring ranks share a point, so that no single rare code is shown.

    Args:
        losses: normalized loss of each seed and code, NaN if undefined [seeds, Y].
    """
    numbers = []
    for band in np.array_split(np.arange(losses.shape[1]), min(losses.shape[1], BANDS)):
        defined = band[~np.isnan(losses[:, band]).any(axis=0)]
        if len(defined):
            ranks = f"rank {band[0] + 1}-{band[-1] + 1}" if len(band) > 1 else f"rank {band[0] + 1}"
            summary = Summary(tuple(losses[:, defined].mean(axis=1).tolist()))
            numbers.append(_number(study, row, ranks, len(defined), "normalized_loss", summary))
    return numbers
