"""The figures of a study, each as SVG with a title and a caption."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from medcode import io
from medcode.report.figures import BLUE, INK, ORANGE, QUIET, SERIES, WIDE, canvas, to_svg
from medcode.studies import results
from medcode.studies.published import CORPORA, METRICS, Table
from medcode.studies.results import Run, Summary
from medcode.studies.study import Study
from medcode.studies.table import Section, same_corpus

HEADLINE = ("f1_micro", "f1_macro")
MORE = (*SERIES, "#8c5fb0", "#b0413e", "#5b6776", "#c9a227", "#6b4a3a")

Runs = dict[tuple[str, str], list[Run]]


@dataclass(frozen=True)
class Drawn:
    """A figure with what stands above and below it."""

    svg: str
    title: str
    caption: str


def draw(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Draws the figures that the study names, by file name."""
    makers: dict[str, Callable[[Study, list[Section], Runs], dict[str, Drawn]]] = {
        "rows": rows_figures,
        "frequency": frequency_figures,
        "linkage": linkage_figures,
        "loss": loss_figures,
        "embeddings": embedding_figures,
        "parameters": parameter_figures,
    }
    drawn: dict[str, Drawn] = {}
    for name in study.definition.figures:
        drawn |= makers[name](study, made, runs)
    return drawn


def rows_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Micro and macro F1 of each row with its deviation, and the published number where the corpus is the paper's."""
    drawn = {}
    for section in made:
        for group in section.table.groups:
            lines = [line for line in section.lines if (group, "f1_micro") in line.ours]
            if not lines:
                continue
            name = f"rows-{section.key}-{group}"
            with canvas(WIDE, 0.9 + 0.3 * len(lines)) as page:
                for axes, column in zip(page.subplots(1, 2, sharey=True), HEADLINE, strict=True):
                    _dots(axes, section, lines, group, column, compared=same_corpus(study, section.table))
                best = max(lines, key=lambda line: line.ours[group, "f1_micro"].mean)
                text = f"{best.title} has the best micro F1, {best.ours[group, 'f1_micro'].mean:.1f}"
                drawn[name] = Drawn(
                    to_svg(page, name, f"F1 of each row, {group}", text),
                    f"F1 of each row{f', {group}' if len(section.table.groups) > 1 else ''}",
                    _rows_caption(study, section.table),
                )
    return drawn


def _dots(axes: Axes, section: Section, lines: list, group: str, column: str, *, compared: bool) -> None:
    places = np.arange(len(lines))[::-1]
    for place, line in zip(places, lines, strict=True):
        own: Summary = line.ours[group, column]
        deviation = 0 if math.isnan(own.deviation) else own.deviation
        axes.errorbar(own.mean, place, xerr=deviation, fmt="o", color=BLUE, markersize=5, capsize=3, linewidth=1.4)
        axes.plot(own.values, [place] * len(own.values), "|", color=BLUE, markersize=9, alpha=0.5)
        if compared and (group, column) in line.published:
            axes.plot(line.published[group, column].value, place, "D", color=ORANGE, markersize=4.5)
    axes.set_yticks(places, [line.title for line in lines], color=INK)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.set_title(METRICS[column])
    axes.set_xlabel({"percent": "per cent"}.get(section.table.unit, "fraction of 1"))


def _rows_caption(study: Study, table: Table) -> str:
    many = len(study.definition.seeds) > 1
    text = (
        "Circles: our mean over seeds, with the sample standard deviation; strokes: each seed." if many else "One seed."
    )
    return f"{text} Diamonds: {CORPORA[table.corpus]}, published." if same_corpus(study, table) else text


def frequency_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Macro F1 by how often a code occurs in training, one line a row."""
    section = made[0]
    drawn, column = {}, _column(section.table)
    for group in section.table.groups:
        rows = _places(study, section, group, runs)
        if not rows:
            continue
        groups = list(
            dict.fromkeys(
                line["group"] for own, head in rows.values() for line in own[0].table("frequency_f1.csv", head)
            )
        )
        codes = {
            line["group"]: int(line["codes"])
            for own, head in rows.values()
            for line in own[0].table("frequency_f1.csv", head)
        }
        values = {row: _by_group(own, head, groups, column) for row, (own, head) in rows.items()}
        name = f"frequency-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, study, values, [f"{label}\nn = {int(codes[label]):,}" for label in groups])
            axes.set_xlabel("Training documents of the code (n: number of codes)")
            text = "; ".join(f"{study.definition.rows[row].title} {own[0][0]:.1f}" for row, own in values.items())
            drawn[name] = Drawn(
                to_svg(page, name, f"Macro F1 by training frequency, {group}", f"In the rarest group: {text}"),
                f"Macro F1 by training frequency of the code, {group}",
                f"Macro F1 as {section.table.macro_f1} within each group; bars: mean over seeds, "
                "lines: sample standard deviation.",
            )
    return drawn


def _column(table: Table) -> str:
    return "f1_macro_tuned" if table.threshold == "tuned" else "f1_macro"


def _places(study: Study, section: Section, group: str, runs: Runs) -> dict[str, tuple[list[Run], str]]:
    """The trainings and the head of each row that was trained for a group of columns."""
    found = {}
    for row in study.definition.rows:
        where = results.place(section.table, group, study.label_sets(row))
        if where and runs[row, where[0]]:
            found[row] = (runs[row, where[0]], where[1])
    return found


def _by_group(own: list[Run], head: str, groups: list[str], column: str) -> list[tuple[float, float]]:
    """Mean and deviation of a column, in per cent, by group of frequency."""
    tables = [{line["group"]: 100 * float(line[column]) for line in run.table("frequency_f1.csv", head)} for run in own]
    return [_mean([table.get(group, math.nan) for table in tables]) for group in groups]


def _mean(values: list[float]) -> tuple[float, float]:
    summary = Summary(tuple(values))
    return summary.mean, 0.0 if math.isnan(summary.deviation) else summary.deviation


def _grouped_bars(axes: Axes, study: Study, values: dict[str, list[tuple[float, float]]], labels: list[str]) -> None:
    width = 0.8 / len(values)
    for number, (row, own) in enumerate(values.items()):
        places = np.arange(len(labels)) + (number - (len(values) - 1) / 2) * width
        means, deviations = zip(*own, strict=True)
        title = study.definition.rows[row].title
        axes.bar(places, means, width * 0.92, yerr=deviations, label=title, color=MORE[number % len(MORE)],
                 error_kw={"ecolor": QUIET, "elinewidth": 1, "capsize": 2})  # fmt: skip
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel("Macro F1, per cent")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(values), 4), borderaxespad=0.3)


def linkage_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Macro F1 of the rarest codes, those with and those without a link to a code of the other edition of ICD."""
    section = made[0]
    drawn, column = {}, _column(section.table)
    for group in section.table.groups:
        rows = _places(study, section, group, runs)
        tables = {row: [run.table("linkage_f1.csv", head) for run in own] for row, (own, head) in rows.items()}
        tables = {row: own for row, own in tables.items() if all(own)}
        if not tables:
            continue
        rarest = next(line["group"] for own in tables.values() for line in own[0] if line["group"] != "0")
        kinds = {"yes": "With a link", "no": "Without"}
        codes: dict[str, int] = {}
        values = {row: [] for row in tables}
        for row, own in tables.items():
            for kind in kinds:
                lines = [line for table in own for line in table if (line["group"], line["linked"]) == (rarest, kind)]
                codes[kind] = int(float(lines[0]["codes"])) if lines else 0
                values[row].append(_mean([100 * float(line[column]) for line in lines] or [0.0]))
        name = f"linkage-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, study, values, [f"{title}\nn = {codes[kind]:,}" for kind, title in kinds.items()])
            text = "; ".join(
                f"{study.definition.rows[row].title} {a:.1f} and {b:.1f}" for row, ((a, _), (b, _)) in values.items()
            )
            drawn[name] = Drawn(
                to_svg(page, name, f"Rare codes with and without a GEM link, {group}", text),
                f"Codes of {rarest} training documents, with and without a GEM link, {group}",
                f"Macro F1 as {section.table.macro_f1}; n: number of codes. Bars: mean over seeds, lines: deviation.",
            )
    return drawn


def loss_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Normalised cross entropy of each code on test, from the most to the least frequent code, one line a row."""
    from medcode.report.label_figures import loss_figure

    drawn = {}
    for group in made[0].table.groups:
        rows = _places(study, made[0], group, runs)
        models = {}
        for row, (own, head) in rows.items():
            tables = [run.table("label_losses.csv", head) for run in own]
            models[study.definition.rows[row].title] = [
                {
                    "head": head,
                    "rank": float(lines[0]["rank"]),
                    "normalised_loss": np.mean([float(line["normalised_loss"] or "nan") for line in lines]),
                }
                for lines in zip(*tables, strict=True)
            ]
        if models:
            caption = "On test, means over seeds; 1 is the loss of giving every note the code's frequency."
            drawn[f"loss-{group}"] = Drawn(loss_figure(models), "Loss of each code, by its training frequency", caption)
    return drawn


def embedding_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Vectors of CCS categories and of their ICD codes in two dimensions (t-SNE), of the first seed of each row."""
    from medcode.report.label_figures import map_figure, nearest_line
    from medcode.report.tables import VECTORS, read_csv

    drawn = {}
    for (row, label_set), own in runs.items():
        if own:
            points = read_csv(own[0].folder / "label_vectors.csv", VECTORS, may_be_empty=True)
            title = f"CCS categories (stars) and their ICD codes, {study.definition.rows[row].title}"
            drawn[f"embeddings-{row}-{label_set}"] = Drawn(map_figure(points), title, nearest_line(points))
    return drawn


def parameter_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Millions of parameters of each row with 50 and with all codes, beside the published number."""
    counts = io.read_json(study.root / study.name / "parameters.json")
    (section,) = made
    lines = [line for line in section.lines if line.row in counts]
    with canvas(WIDE, 0.9 + 0.45 * len(lines)) as page:
        axes = page.subplots()
        places = np.arange(len(lines))[::-1]
        for place, line in zip(places, lines, strict=True):
            for (label_set, number), colour in zip(counts[line.row].items(), SERIES, strict=False):
                axes.plot(number["total"] / 1e6, place, "o", color=colour, markersize=6, label=label_set)
            for found in line.published.values():
                axes.plot(found.value, place, "D", color=INK, fillstyle="none", markersize=8, label="published")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(places, [line.title for line in lines], color=INK)
        axes.set_xlabel("Millions of parameters")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.legend(handles.values(), handles.keys(), loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        drawn = to_svg(page, "parameters", "Parameters of each model", "Millions of parameters")
    caption = "With MIMIC-III's 51,919 rows of word vectors; published numbers mix label sets."
    return {"parameters": Drawn(drawn, "Parameters", caption)}
