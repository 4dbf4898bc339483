"""The pairs of rows that a study compares: what is tested, and how it is written."""

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
    f"{significance.RESAMPLES:,} resamples, means over seeds, in brackets the interval of 95 %. It may lie off centre "
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


def comparisons(study: Study, runs: Runs) -> list[Comparison]:
    """Tests the pairs of rows that the study names, in each group that both have, and corrects for their number."""
    made = []
    for first, second in study.definition.comparisons:
        table = study.paper.tables[study.table_of(study.definition.rows[second])]
        for group in table.groups:
            places = [run_results.place(table, group, study.label_sets(row)) for row in (first, second)]
            if None in places:
                continue
            owned = [
                (runs[row, label_set], head) for row, (label_set, head) in zip((first, second), places, strict=True)
            ]
            if not all(own for own, _ in owned):
                continue
            sides = [[run.decisions(head) for run in own] for own, head in owned]
            one, other = significance.align(*sides)
            made.append(
                Comparison(
                    first, second, group,
                    significance.bootstrap(one, other, table.threshold, None),
                    significance.bootstrap(one, other, table.threshold, table.macro_f1),
                    significance.mcnemar(one, other, table.threshold),
                )
            )  # fmt: skip
    for name, p in (
        ("micro", lambda c: c.micro.p),
        ("macro", lambda c: c.macro.p),
        ("decisions", lambda c: c.decisions.p),
    ):
        for comparison, corrected in zip(made, significance.holm([p(c) for c in made]), strict=True):
            comparison.holm[name] = corrected
    return made


def cells(one: Comparison, of: int) -> list[str]:
    """What is shown of a comparison that is one of so many: each difference with its p."""
    floor, (b, c) = significance.floor(of), (one.decisions.first_right, one.decisions.second_right)
    return [
        shown_gap(one.micro), p_value(one.holm["micro"], floor),
        shown_gap(one.macro), p_value(one.holm["macro"], floor),
        f"{b:,} : {c:,}", p_value(one.holm["decisions"]),
    ]  # fmt: skip


def p_value(p: float, floor: float = 0.0) -> str:
    """A p value in words that do not pretend to more than the resamples give: none is below the floor."""
    if p < 0.001:
        return "< 0.001"
    return f"≤ {math.ceil(1000 * floor) / 1000:.3f}" if p <= floor * (1 + 1e-9) else f"{p:.3f}"


def signed(value: float) -> str:
    """A difference of two metrics, in percentage points."""
    return f"{'+' if value >= 0 else MINUS}{abs(100 * value):.1f}"


def shown_gap(difference: Difference) -> str:
    """A difference with its interval, in percentage points."""
    return f"{signed(difference.observed)} [{signed(difference.low)}, {signed(difference.high)}]"


def markdown(study: Study, tested: list[Comparison]) -> str:
    """The comparisons as a table in Markdown."""
    lines = [
        "| first | second | | micro F1 | p | macro F1 | p | decisions | p |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in tested:
        titles = " | ".join(study.definition.rows[row].title for row in (one.first, one.second))
        lines.append(f"| {titles} | {one.group} | {' | '.join(cells(one, len(tested)))} |")
    return "\n".join(lines)
