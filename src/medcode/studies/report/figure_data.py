"""Figures of studies as data: SVG, title, caption, and the numbers that are drawn."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from medcode.report.figures import SERIES
from medcode.studies.results.run_results import Summary

MORE = (*SERIES, "#8c5fb0", "#b0413e", "#5b6776", "#c9a227", "#6b4a3a")
COLUMNS = ("row", "title", "group", "linked", "codes", "metric", "mean", "deviation", "seeds")


@dataclass(frozen=True)
class Number:
    """One of the numbers behind a figure about groups of codes.

    Attributes:
        row: of the study.
        title: of the row.
        group: the codes, by training documents or by rank.
        codes: how many they are.
        metric: what was measured.
        summary: over the seeds.
        linked: yes or no, where the figure asks for links to the other edition of ICD.
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
    """A figure; `numbers` are those that no table of the study has."""

    svg: str
    title: str
    caption: str
    numbers: tuple[Number, ...] = ()


def as_csv(numbers: Sequence[Number]) -> str:
    """Return the content of figures/<name>.csv: trainings are not in git, so the numbers stand beside the figure."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in numbers:
        summary = number.summary
        deviation = "" if math.isnan(summary.deviation) else f"{summary.deviation:.4g}"
        about = (number.row, number.title, number.group, number.linked, number.codes, number.metric)
        writer.writerow([*about, f"{summary.mean:.4f}", deviation, len(summary.values)])
    return buffer.getvalue()
