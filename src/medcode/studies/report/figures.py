"""The figures of a study, each as SVG with a title and a caption."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from medcode import io
from medcode.report.svg import BLUE, INK, ORANGE, SERIES, WIDE, canvas, to_svg
from medcode.studies.definition.published import CORPORA
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import Table, column_title
from medcode.studies.report.code_figures import frequency_figures, linkage_figures, loss_figures
from medcode.studies.report.comparison_tables import ComparisonTable, same_corpus
from medcode.studies.report.figure_data import StudyFigure
from medcode.studies.report.tables import format_value
from medcode.studies.results.run_results import Runs, Summary

HEADLINE = ("f1_micro", "f1_macro")


def draw(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw the figures that the study names, by file name."""
    makers: dict[str, Callable[[Study, list[ComparisonTable], Runs], dict[str, StudyFigure]]] = {
        "rows": rows_figures,
        "frequency": frequency_figures,
        "linkage": linkage_figures,
        "loss": loss_figures,
        "embeddings": embedding_figures,
        "parameters": parameter_figures,
    }
    figures: dict[str, StudyFigure] = {}
    for name in study.definition.figures:
        figures |= makers[name](study, tables, runs)
    return figures


def rows_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw F1 of each row with its deviation, and the published F1 if it is on the same corpus."""
    figures = {}
    for comparison in tables:
        for group in comparison.table.groups:
            lines = [line for line in comparison.lines if {(group, name) for name in HEADLINE} <= line.measured.keys()]
            if not lines:
                continue
            name = f"rows-{comparison.key}-{group}"
            with canvas(WIDE, 0.9 + 0.3 * len(lines)) as page:
                for axes, column in zip(page.subplots(1, 2, sharey=True), HEADLINE, strict=True):
                    _dots(axes, comparison, lines, group, column, compared=same_corpus(study, comparison.table))
                best = max(lines, key=lambda line: line.measured[group, "f1_micro"].mean)
                mean = format_value(best.measured[group, "f1_micro"].mean, comparison.table)
                text = f"{best.title} has the best micro F1, {mean}"
                figures[name] = StudyFigure(
                    to_svg(page, name, f"F1 of each row, {group}", text),
                    f"F1 of each row{f', {group}' if len(comparison.table.groups) > 1 else ''}",
                    _rows_caption(study, comparison.table),
                )
    return figures


def _dots(axes: Axes, comparison: ComparisonTable, lines: list, group: str, column: str, *, compared: bool) -> None:
    positions = np.arange(len(lines))[::-1]
    for position, line in zip(positions, lines, strict=True):
        summary: Summary = line.measured[group, column]
        deviation = 0 if math.isnan(summary.deviation) else summary.deviation
        axes.errorbar(
            summary.mean, position, xerr=deviation, fmt="o", color=BLUE, markersize=5, capsize=3, linewidth=1.4
        )
        axes.plot(summary.values, [position] * len(summary.values), "|", color=BLUE, markersize=9, alpha=0.5)
        if compared and (group, column) in line.published:
            axes.plot(line.published[group, column].value, position, "D", color=ORANGE, markersize=4.5)
    axes.set_yticks(positions, [line.title for line in lines], color=INK)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.set_title(column_title(column))
    axes.set_xlabel("percent" if comparison.table.unit == "percent" else "fraction of 1")


def _rows_caption(study: Study, table: Table) -> str:
    several_seeds = len(study.definition.seeds) > 1
    text = (
        f"Circles: {'mean' if study.paper is None else 'our mean'} over seeds, with the sample standard deviation; "
        "strokes: each seed."
        if several_seeds
        else "One seed."
    )
    return f"{text} Diamonds: {CORPORA[table.corpus]}, published." if same_corpus(study, table) else text


def embedding_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw t-SNE plots of the vectors of CCS categories and their ICD codes, for the first seed of each row."""
    from medcode.report.label_figures import map_figure, nearest_line
    from medcode.report.tables import VECTORS, read_csv

    figures = {}
    for (row, label_set), seed_runs in runs.items():
        if seed_runs:
            points = read_csv(seed_runs[0].folder / "label_vectors.csv", VECTORS, may_be_empty=True)
            title = f"CCS categories (stars) and their ICD codes, {study.definition.rows[row].title}"
            figures[f"embeddings-{row}-{label_set}"] = StudyFigure(map_figure(points), title, nearest_line(points))
    return figures


def parameter_figures(study: Study, tables: list[ComparisonTable], runs: Runs) -> dict[str, StudyFigure]:
    """Draw the parameters of each row, in millions, with 50 and with all codes, next to the published number.

    The slide counts trainable parameters. Frozen parameters are only in the total.
    """
    counts = io.read_json(study.root / study.name / "parameters.json")
    (comparison,) = tables
    lines = [line for line in comparison.lines if line.row in counts]
    with canvas(WIDE, 0.9 + 0.45 * len(lines)) as page:
        axes = page.subplots()
        positions = np.arange(len(lines))[::-1]
        for position, line in zip(positions, lines, strict=True):
            for (label_set, numbers), color in zip(counts[line.row].items(), SERIES, strict=False):
                for count, marker in (("trainable", "o"), ("total", "|")):
                    label = f"{label_set}, {count}"
                    axes.plot(numbers[count] / 1e6, position, marker, color=color, markersize=7, label=label)
            if published := next(iter(line.published.values()), None):
                axes.plot(published.value, position, "D", color=INK, fillstyle="none", markersize=8, label="published")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(positions, [line.title for line in lines], color=INK)
        axes.set_xlabel("Millions of parameters")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.legend(handles.values(), handles.keys(), loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
        svg = to_svg(page, "parameters", "Parameters of each model", "Millions of parameters")
    caption = "With MIMIC-III's 51,919 rows of word vectors; published: trainable parameters, of mixed label sets."
    return {"parameters": StudyFigure(svg, "Parameters", caption)}
