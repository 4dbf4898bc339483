"""Figures about groups of codes: frequent and rare ones, and those with and without a link."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from medcode.report.figures import QUIET, WIDE, canvas, to_svg
from medcode.report.label_figures import BANDS, loss_figure
from medcode.studies.definition.study import Study
from medcode.studies.report.comparison_tables import Section
from medcode.studies.report.figure_data import MORE, Drawn, Number
from medcode.studies.results import run_results
from medcode.studies.results.run_results import Run, Runs, Summary

Bars = dict[str, list[Number]]  # of each row, by its name


def frequency_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Macro F1 by how often a code occurs in training, one line a row."""
    section, drawn = made[0], {}
    column = run_results.group_column(section.table)
    for group in section.table.groups:
        rows = _places(study, section, group, runs)
        if not rows:
            continue
        codes = {
            line["group"]: int(line["codes"])
            for own, head in rows.values()
            for line in own[0].table("frequency_f1.csv", head)
        }
        bars = {
            row: [
                _number(study, row, label, codes[label], column, found)
                for label, found in _by_group(own, head, codes, column)
            ]
            for row, (own, head) in rows.items()
        }
        name = f"frequency-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, bars, [f"{label}\nn = {number:,}" for label, number in codes.items()])
            axes.set_xlabel("Training documents of the code (n: number of codes)")
            text = "; ".join(f"{own[0].title} {own[0].found.mean:.1f}" for own in bars.values())
            drawn[name] = Drawn(
                to_svg(page, name, f"Macro F1 by training frequency, {group}", f"In the rarest group: {text}"),
                f"Macro F1 by training frequency of the code, {group}",
                f"Macro F1 as {section.table.macro_f1} within each group; bars: mean over seeds, "
                "lines: sample standard deviation.",
                _all(bars),
            )
    return drawn


def _places(study: Study, section: Section, group: str, runs: Runs) -> dict[str, tuple[list[Run], str]]:
    """The trainings and the head of each row that was trained for a group of columns."""
    found = {}
    for row in study.definition.rows:
        where = run_results.place(section.table, group, study.label_sets(row))
        if where and runs[row, where[0]]:
            found[row] = (runs[row, where[0]], where[1])
    return found


def _by_group(own: list[Run], head: str, groups: Sequence[str], column: str) -> list[tuple[str, Summary]]:
    """A column over the seeds, in per cent, by group of frequency."""
    tables = [{line["group"]: 100 * float(line[column]) for line in run.table("frequency_f1.csv", head)} for run in own]
    return [(group, Summary(tuple(table.get(group, math.nan) for table in tables))) for group in groups]


def _number(study: Study, row: str, group: str, codes: int, metric: str, found: Summary, linked: str = "") -> Number:
    return Number(row, study.definition.rows[row].title, group, codes, metric, found, linked)


def _all(bars: Bars) -> tuple[Number, ...]:
    return tuple(number for own in bars.values() for number in own)


def _grouped_bars(axes: Axes, bars: Bars, labels: list[str]) -> None:
    width = 0.8 / len(bars)
    for number, own in enumerate(bars.values()):
        places = np.arange(len(labels)) + (number - (len(bars) - 1) / 2) * width
        means = [one.found.mean for one in own]
        deviations = np.nan_to_num([one.found.deviation for one in own])
        axes.bar(places, means, width * 0.92, yerr=deviations, label=own[0].title, color=MORE[number % len(MORE)],
                 error_kw={"ecolor": QUIET, "elinewidth": 1, "capsize": 2})  # fmt: skip
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel("Macro F1, per cent")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(bars), 4), borderaxespad=0.3)


def linkage_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Macro F1 of the rarest codes, those with and those without a link to a code of the other edition of ICD."""
    section, drawn = made[0], {}
    column = run_results.group_column(section.table)
    for group in section.table.groups:
        rows = _places(study, section, group, runs)
        tables = {row: [run.table("linkage_f1.csv", head) for run in own] for row, (own, head) in rows.items()}
        tables = {row: own for row, own in tables.items() if all(own)}
        if not tables:
            continue
        rarest = next(line["group"] for own in tables.values() for line in own[0] if line["group"] != "0")
        kinds = {"yes": "With a link", "no": "Without"}
        bars = {row: [_linked(study, row, own, rarest, kind, column) for kind in kinds] for row, own in tables.items()}
        codes = [one.codes for one in list(bars.values())[-1]]
        name = f"linkage-{group}"
        with canvas(WIDE, 3.4) as page:
            axes = page.subplots()
            _grouped_bars(axes, bars, [f"{title}\nn = {n:,}" for title, n in zip(kinds.values(), codes, strict=True)])
            text = "; ".join(
                f"{with_link.title} {with_link.found.mean:.1f} and {without.found.mean:.1f}"
                for with_link, without in bars.values()
            )
            drawn[name] = Drawn(
                to_svg(page, name, f"Rare codes with and without a GEM link, {group}", text),
                f"Codes of {rarest} training documents, with and without a GEM link, {group}",
                f"Macro F1 as {section.table.macro_f1}; n: number of codes. Bars: mean over seeds, lines: deviation.",
                _all(bars),
            )
    return drawn


def _linked(study: Study, row: str, tables: list[list[dict[str, str]]], group: str, kind: str, column: str) -> Number:
    lines = [line for table in tables for line in table if (line["group"], line["linked"]) == (group, kind)]
    codes = int(float(lines[0]["codes"])) if lines else 0
    found = Summary(tuple(100 * float(line[column]) for line in lines) or (0.0,))
    return _number(study, row, group, codes, column, found, kind)


def loss_figures(study: Study, made: list[Section], runs: Runs) -> dict[str, Drawn]:
    """Normalised cross entropy of each code on test, from the most to the least frequent code, one line a row."""
    drawn = {}
    for group in made[0].table.groups:
        models, numbers = {}, []
        for row, (own, head) in _places(study, made[0], group, runs).items():
            tables = [run.table("label_losses.csv", head) for run in own]
            ranks = [float(line["rank"]) for line in tables[0]]
            losses = np.array([[float(line["normalised_loss"] or "nan") for line in table] for table in tables])
            models[study.definition.rows[row].title] = [
                {"head": head, "rank": rank, "normalised_loss": loss}
                for rank, loss in zip(ranks, losses.mean(axis=0), strict=True)
            ]
            numbers += _bands(study, row, losses[:, np.argsort(ranks)])
        if models:
            caption = "On test, means over seeds; 1 is the loss of giving every note the code's frequency."
            title = "Loss of each code, by its training frequency"
            drawn[f"loss-{group}"] = Drawn(loss_figure(models), title, caption, tuple(numbers))
    return drawn


def _bands(study: Study, row: str, losses: np.ndarray) -> list[Number]:
    """The points of a line of the figure: neighbours by rank share one, so that no single rare code is told.

    Args:
        losses: of each seed and code, NaN where it is not defined [seeds, Y].
    """
    numbers = []
    for band in np.array_split(np.arange(losses.shape[1]), min(losses.shape[1], BANDS)):
        defined = band[~np.isnan(losses[:, band]).any(axis=0)]
        if len(defined):
            ranks = f"rank {band[0] + 1}-{band[-1] + 1}" if len(band) > 1 else f"rank {band[0] + 1}"
            found = Summary(tuple(losses[:, defined].mean(axis=1).tolist()))
            numbers.append(_number(study, row, ranks, len(defined), "normalised_loss", found))
    return numbers
