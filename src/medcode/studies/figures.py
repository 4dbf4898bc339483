"""The figures of a study, each as SVG with a title and a caption."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from medcode import io
from medcode.evaluation.metrics import ratio
from medcode.report.canvas import BLUE, GRID, INK, ORANGE, QUIET, SERIES, figure, svg
from medcode.studies import results
from medcode.studies.predictions import Decisions
from medcode.studies.published import CORPORA, METRICS, Table
from medcode.studies.results import Run, Summary
from medcode.studies.study import Study
from medcode.studies.table import Section, same_corpus

WIDE = 9.6  # inches
RARE = 100  # training documents up to which JAMS calls a code rare
HEADLINE = ("f1_micro", "f1_macro")
MORE = (*SERIES, "#8c5fb0", "#b0413e", "#5b6776")

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
            with figure(WIDE, 0.9 + 0.3 * len(lines)) as page:
                for axes, column in zip(page.subplots(1, 2, sharey=True), HEADLINE, strict=True):
                    _dots(axes, section, lines, group, column, compared=same_corpus(study, section.table))
                best = max(lines, key=lambda line: line.ours[group, "f1_micro"].mean)
                text = f"{best.title} has the best micro F1, {best.ours[group, 'f1_micro'].mean:.1f}"
                drawn[name] = Drawn(
                    svg(page, name, f"F1 of each row, {group}", text),
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
    drawn, column = {}, "f1_macro" + ("_tuned" if section.table.threshold == "tuned" else "")
    for group in section.table.groups:
        rows = _places(study, section, group, runs)
        if not rows:
            continue
        groups = list(dict.fromkeys(line["group"] for own, head in rows.values() for line in own[0].frequency(head)))
        codes = {line["group"]: int(line["codes"]) for own, head in rows.values() for line in own[0].frequency(head)}
        values = {row: _by_group(own, head, groups, column) for row, (own, head) in rows.items()}
        name = f"frequency-{group}"
        with figure(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, study, values, [f"{label}\nn = {codes[label]:,}" for label in groups])
            axes.set_xlabel("Training documents of the code (n: number of codes)")
            text = "; ".join(f"{study.definition.rows[row].title} {own[0][0]:.1f}" for row, own in values.items())
            drawn[name] = Drawn(
                svg(page, name, f"Macro F1 by training frequency, {group}", f"In the rarest group: {text}"),
                f"Macro F1 by training frequency of the code, {group}",
                f"Macro F1 as {section.table.macro_f1} within each group; bars: mean over seeds, "
                "lines: sample standard deviation.",
            )
    return drawn


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
    tables = [{line["group"]: 100 * float(line[column]) for line in run.frequency(head)} for run in own]
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
    """Macro F1 of codes with at most 100 training documents, with and without an edge of the GEMs."""
    table = made[0].table
    edges = io.read_table(study.root.parent / "data/studies" / study.definition.corpus / "gem.parquet").to_pandas()
    linked = {code for column in edges.columns if column.startswith("code") or column.endswith("code")
              for code in edges[column]}  # fmt: skip
    drawn = {}
    for group in table.groups:
        rows = _places(study, made[0], group, runs)
        values: dict[str, list[tuple[float, float]]] = {}
        sizes = [0, 0]
        for row, (own, head) in rows.items():
            per_seed = []
            for run in own:
                decided = run.decisions(head)
                rare = (decided.train_counts > 0) & (decided.train_counts <= RARE)
                has_edge = np.array([str(code).split(":", 1)[1] in linked for code in decided.codes])
                parts = [rare & has_edge, rare & ~has_edge]
                sizes = [int(part.sum()) for part in parts]
                per_seed.append([100 * _macro_f1(decided, part, table) for part in parts])
            values[row] = [_mean(list(column)) for column in zip(*per_seed, strict=True)]
        if not values:
            continue
        name = f"linkage-{group}"
        with figure(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, study, values, [f"With an edge\nn = {sizes[0]:,}", f"Without\nn = {sizes[1]:,}"])
            text = "; ".join(
                f"{study.definition.rows[row].title} {a:.1f} and {b:.1f}" for row, ((a, _), (b, _)) in values.items()
            )
            drawn[name] = Drawn(
                svg(page, name, f"Rare codes with and without a GEM edge, {group}", text),
                f"Codes of 1 to {RARE} training documents, with and without a GEM edge, {group}",
                "Macro F1 over the codes that occur in test; n: number of codes. Bars: mean over seeds, lines: std.",
            )
    return drawn


def _macro_f1(decided: Decisions, chosen: np.ndarray, table: Table) -> float:
    gold, predicted = decided.gold[:, chosen], decided.predicted(table.threshold)[:, chosen]
    hits, made, true = ((gold * predicted).sum(0), predicted.sum(0), gold.sum(0))
    each = ratio(2 * hits, made + true)
    present = true > 0
    return float(each[present].mean()) if present.any() else 0.0


def loss_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Cross entropy of each code on test, divided by its mean over codes, from the most to the least frequent code."""
    drawn = {}
    for group in made[0].table.groups:
        rows = _places(study, made[0], group, runs)
        if not rows:
            continue
        name = f"loss-{group}"
        told = []
        with figure(WIDE, 3.4) as page:
            axes = page.subplots()
            for number, (row, (own, head)) in enumerate(rows.items()):
                decided = [run.decisions(head) for run in own]
                order = np.argsort(-decided[0].train_counts, kind="stable")
                losses = np.mean([one.cross_entropy[order] for one in decided], axis=0)
                losses = losses / losses.mean()
                rank, smooth = _smoothed(losses)
                title = study.definition.rows[row].title
                axes.plot(np.arange(1, len(losses) + 1), losses, ".", markersize=2, color=MORE[number], alpha=0.25)
                axes.plot(rank, smooth, color=MORE[number], label=title)
                told.append(f"{title}: the spread over codes (deviation by mean) is {losses.std():.2f}")
            axes.axhline(1, color=GRID, linewidth=1)
            axes.set_xlabel("Codes, the most frequent in training first")
            axes.set_ylabel("Cross entropy / its mean over codes")
            axes.legend(loc="upper right")
            text = "; ".join(told)
            drawn[name] = Drawn(
                svg(page, name, f"Cross entropy of each code, {group}", text),
                f"Normalised cross entropy of each code, {group}",
                f"On test, mean over seeds; lines: running means. {text}.",
            )
    return drawn


def _smoothed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = max(1, len(values) // 20)
    kernel = np.ones(width) / width
    return np.arange(1, len(values) + 1)[width - 1 :] - (width - 1) / 2, np.convolve(values, kernel, "valid")


def parameter_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Millions of parameters of each row with 50 and with all codes, beside the published number."""
    counts = io.read_json(study.root / study.name / "parameters.json")
    (section,) = made
    lines = [line for line in section.lines if line.row]
    with figure(WIDE, 0.9 + 0.45 * len(lines)) as page:
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
        drawn = svg(page, "parameters", "Parameters of each model", "Millions of parameters")
    caption = "With MIMIC-III's 51,919 rows of word vectors; published numbers mix label sets."
    return {"parameters": Drawn(drawn, "Parameters", caption)}


def embedding_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Output vectors of CCS categories and of their ICD codes in two dimensions (t-SNE), the first seed."""
    from medcode.studies.embeddings import draw_embeddings

    drawn = {}
    for (row, label_set), own in runs.items():
        if own and (own[0].folder / "label_vectors.npz").exists():
            name = f"embeddings-{row}-{label_set}"
            text, caption = draw_embeddings(study, own[0], label_set, name)
            title = f"Vectors of CCS categories and their ICD codes, {study.definition.rows[row].title}"
            drawn[name] = Drawn(text, title, caption)
    return drawn
