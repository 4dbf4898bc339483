"""Leaderboard in docs/LEADERBOARD.md: every row of every finished study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcode import io
from medcode.evaluation import metric_table
from medcode.studies.report import commit_links
from medcode.studies.report.times import DASH, format_time, mean_cpu_seconds
from medcode.studies.results.run_results import with_open

HEAD = """# Leaderboard

Every row of every finished study, from `studies/*/results.json`; `make leaderboard` writes this page. F1 is at the
threshold tuned on dev, macro F1 in the definition of Mullenbach et al. (2018); means ± sample standard deviations over
seeds, in percent. Official measures are those of shared tasks, in which every gold code counts; those of an ensemble
with unseen codes have these scored too. Time is that of one training, a mean over seeds; CPU time is what all its
threads computed, where it ran on a CPU. An ensemble is the mean of the probabilities of several rows of its study, with
all their seeds. Rows compare within one corpus and label set only. `git show` tells what a commit is where it is no
link.
"""
COLUMNS = tuple(
    (metric_table.columns()[name], metric_table.path_in_test(name, "tuned", "caml"))
    for name in metric_table.headlines()
)
OFFICIAL = tuple((metric_table.columns()[f"official_{key}"], ("official", key)) for key in ("map", "f1"))
FURTHER = ("seeds", "parameters", "time", "CPU time", "device", "torch", "commit", "study")


def write(root: Path, path: Path) -> None:
    """Write the page from the results.json of each finished study."""
    results = [io.read_json(file) for file in sorted(root.glob("*/results.json"))]
    io.write_text(path, page([result for result in results if result["finished"]]))


def page(results: list[dict[str, Any]]) -> str:
    """Return the page: a table for each corpus, label set and head, sorted by micro F1."""
    tables: dict[tuple[str, str, str], list[_Line]] = {}
    for result in results:
        for row in [*result["rows"], *result.get("ensembles", [])]:
            for head, measured in row["test"].items():
                line = _Line(_title(row), with_open(measured), _further(result, row))
                tables.setdefault((result["corpus"], row["label_set"], head), []).append(line)
    parts = [HEAD]
    for (corpus, label_set, head), lines in sorted(tables.items()):
        columns = [*(OFFICIAL if any("official" in line.measured for line in lines) else ()), *COLUMNS]
        titles = ["model", *(name for name, _ in columns), *FURTHER]
        head_line = "| " + " | ".join(titles) + " |\n|---|" + "--:|" * (len(columns) + 4) + "---|" * 4
        body = "\n".join(line.text(columns) for line in sorted(lines, key=_Line.order))
        parts.append(f"\n## {corpus}, {label_set}, {head}\n\n{head_line}\n{body}\n")
    if not tables:
        parts.append("\nNo study is finished yet.\n")
    return "".join(parts)


@dataclass(frozen=True)
class _Line:
    """A line of a table: its title, its metrics as in results.json, and the cells of FURTHER."""

    title: str
    measured: dict[str, Any]
    further: list[str]

    def order(self) -> tuple[float, str]:
        """Return the sort key: the best micro F1 comes first."""
        return -statistics.fmean(values_at(self.measured, COLUMNS[0][1])), self.title

    def text(self, columns: Sequence[tuple[str, tuple[str, ...]]]) -> str:
        """Return the line with some columns of metrics."""
        cells = [format_values(values_at(self.measured, path), 100, 1) for _, path in columns]
        return f"| {' | '.join([self.title, *cells, *self.further])} |"


def _title(row: dict[str, Any]) -> str:
    return row["title"] if "ensemble" in row else f"{row['title']} (`{row['model']}`, {row['recipe']})"


def _further(result: dict[str, Any], row: dict[str, Any]) -> list[str]:
    study, repository = result["study"], result.get("repository")
    if "ensemble" in row:
        return [*[DASH] * (len(FURTHER) - 1), _link(study)]
    cells = [str(len(row["seeds"])), f"{row['parameters']['total']:,}"]
    cpu_seconds = mean_cpu_seconds(row["device"], row.get("cpu_seconds", []))  # results of earlier versions have none
    cells += [format_time(statistics.fmean(row["seconds"])), format_time(cpu_seconds), row["device"], row["torch"]]
    links = {commit: commit_links.link(repository, commit) for commit in row["commits"]}
    cells += [
        ", ".join(f"[{commit}]({url})" if url else f"`{commit}`" for commit, url in links.items()),
        _link(study),
    ]
    return cells


def _link(study: str) -> str:
    return f"[{study}](../studies/{study}/table.md)"


def values_at(measured: dict[str, Any], path: tuple[str, ...]) -> list[float]:
    """Return the values of a metric in results.json, one for each seed; NaN where it is undefined, none if unknown.

    An ensemble has one value.
    """
    value: Any = measured
    for part in path:
        value = value.get(part, {}) if isinstance(value, dict) else value
    if not isinstance(value, list):  # of an ensemble
        value = [] if value == {} else [value]
    return [math.nan if number is None else number for number in value]


def format_values(values: list[float], scale: float, decimals: int) -> str:
    """Format mean and deviation of a metric, times `scale`; a dash if it is unknown or undefined for a seed."""
    if not values or any(math.isnan(value) for value in values):
        return DASH
    mean = f"{scale * statistics.fmean(values):.{decimals}f}"
    return f"{mean} ± {scale * statistics.stdev(values):.{decimals}f}" if len(values) > 1 else mean
