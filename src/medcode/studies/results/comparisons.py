"""Significance tests between the pairs of rows that a study compares, and their format."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from medcode.studies.definition.study import Study
from medcode.studies.results import run_results, significance
from medcode.studies.results.run_results import Runs
from medcode.studies.results.significance import Difference, Disagreement

MINUS = "\N{MINUS SIGN}"

TESTS = (
    f"Second row minus first, over the test documents, in percentage points. F1: paired bootstrap over documents, "
    f"{significance.RESAMPLES:,} resamples, means over seeds, in brackets the interval of 95 %. It may lie off center "
    "for macro F1: resamples lose rare codes, which weigh as much as frequent ones there. ≤ marks the smallest p that "
    "so many resamples can give. Decisions: McNemar's exact test, with the numbers of decisions that only the first "
    "and only the second row got right, means over seeds; its p is too small, because decisions about one note are not "
    "independent. In each of the three columns p is corrected for the number of comparisons (Holm). Neither test knows "
    "the variance between seeds: look at the deviations too."
)


@dataclass
class Comparison:
    """The difference between two rows in a group of columns."""

    first: str
    second: str
    group: str
    micro: Difference
    macro: Difference
    decisions: Disagreement
    holm: dict[str, float] = field(default_factory=dict)


def compare_rows(study: Study, runs: Runs) -> list[Comparison]:
    """Test the pairs of rows that the study names, in each group that both have, with Holm's correction."""
    tests = []
    for first, second in study.definition.comparisons:
        table = study.tables()[study.table_of(study.definition.rows[second])]
        for group in table.groups:
            positions = [run_results.label_set_and_head(table, group, study.label_sets(row)) for row in (first, second)]
            if None in positions:
                continue
            trained = [
                (runs[row, label_set], head) for row, (label_set, head) in zip((first, second), positions, strict=True)
            ]
            if not all(seed_runs for seed_runs, _ in trained):
                continue
            sides = [[run.decisions(head) for run in seed_runs] for seed_runs, head in trained]
            first_decisions, second_decisions = significance.align(*sides)
            tests.append(
                Comparison(
                    first, second, group,
                    significance.bootstrap(first_decisions, second_decisions, table.threshold, None),
                    significance.bootstrap(first_decisions, second_decisions, table.threshold, table.macro_f1),
                    significance.mcnemar(first_decisions, second_decisions, table.threshold),
                )
            )  # fmt: skip
    for name, p in (
        ("micro", lambda c: c.micro.p),
        ("macro", lambda c: c.macro.p),
        ("decisions", lambda c: c.decisions.p),
    ):
        for comparison, corrected in zip(tests, significance.holm([p(c) for c in tests]), strict=True):
            comparison.holm[name] = corrected
    return tests


def cells(comparison: Comparison, number: int) -> list[str]:
    """Format each difference of a comparison with its p, given the number of comparisons."""
    floor, (b, c) = significance.floor(number), (comparison.decisions.first_right, comparison.decisions.second_right)
    return [
        format_difference(comparison.micro), format_p(comparison.holm["micro"], floor),
        format_difference(comparison.macro), format_p(comparison.holm["macro"], floor),
        f"{b:,} : {c:,}", format_p(comparison.holm["decisions"]),
    ]  # fmt: skip


def format_p(p: float, floor: float = 0.0) -> str:
    """Format a p value; as a bound if the resamples can give no smaller one."""
    if p < 0.001:
        return "< 0.001"
    return f"≤ {math.ceil(1000 * floor) / 1000:.3f}" if p <= floor * (1 + 1e-9) else f"{p:.3f}"


def format_points(value: float) -> str:
    """Format a difference of two metrics in percentage points."""
    return f"{'+' if value >= 0 else MINUS}{abs(100 * value):.1f}"


def format_difference(difference: Difference) -> str:
    """Format a difference with its interval in percentage points."""
    return f"{format_points(difference.observed)} [{format_points(difference.low)}, {format_points(difference.high)}]"


def markdown(study: Study, tests: list[Comparison]) -> str:
    """Return the comparisons as a table in Markdown."""
    lines = [
        "| first | second | | micro F1 | p | macro F1 | p | decisions | p |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for test in tests:
        titles = " | ".join(study.definition.rows[row].title for row in (test.first, test.second))
        lines.append(f"| {titles} | {test.group} | {' | '.join(cells(test, len(tests)))} |")
    return "\n".join(lines)
