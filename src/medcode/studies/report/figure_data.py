"""What every figure of a study is: the drawing, what stands above and below it, and its numbers."""

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
        found: over the seeds.
        linked: yes or no, where the figure asks for links to the other edition of ICD.
    """

    row: str
    title: str
    group: str
    codes: int
    metric: str
    found: Summary
    linked: str = ""


@dataclass(frozen=True)
class Drawn:
    """A figure; `numbers` are those that no table of the study has."""

    svg: str
    title: str
    caption: str
    numbers: tuple[Number, ...] = ()


def as_csv(numbers: Sequence[Number]) -> str:
    """The content of figures/<name>.csv: trainings are not in git, so the numbers must stand beside the drawing."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in numbers:
        found = one.found
        deviation = "" if math.isnan(found.deviation) else f"{found.deviation:.4g}"
        about = (one.row, one.title, one.group, one.linked, one.codes, one.metric)
        writer.writerow([*about, f"{found.mean:.4f}", deviation, len(found.values)])
    return buffer.getvalue()
