"""Figures of studies as data: SVG, title, caption, and the plotted numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from medcode.report.svg import SERIES
from medcode.studies.results.run_results import Summary

MORE = (*SERIES, "#8c5fb0", "#b0413e", "#5b6776", "#c9a227", "#6b4a3a")
COLUMNS = ("row", "title", "group", "linked", "codes", "metric", "mean", "deviation", "seeds")


@dataclass(frozen=True)
class Number:
    """A number plotted in a figure about groups of codes.

    Attributes:
        row: name of the row.
        title: title of the row.
        group: group of codes, by training documents or by rank.
        codes: number of codes.
        metric: name of the metric.
        summary: the metric over the seeds.
        linked: yes or no, in a figure about links to the other edition of ICD.
    """

    row: str
    title: str
    group: str
    codes: int
    metric: str
    summary: Summary
    linked: str = ""


@dataclass(frozen=True)
class StudyFigure:
    """A figure. `numbers` are the plotted numbers that no table of the study contains."""

    svg: str
    title: str
    caption: str
    numbers: tuple[Number, ...] = ()


def as_csv(numbers: Sequence[Number]) -> str:
    """Return the content of figures/<name>.csv, which keeps the plotted numbers in git, unlike the trainings."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in numbers:
        summary = number.summary
        deviation = "" if math.isnan(summary.deviation) else f"{summary.deviation:.4g}"
        labels = (number.row, number.title, number.group, number.linked, number.codes, number.metric)
        writer.writerow([*labels, f"{summary.mean:.4f}", deviation, len(summary.values)])
    return buffer.getvalue()
