"""The table of a study, with published numbers if it has a paper, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

from medcode.studies.definition.published import CORPORA, Cell, PublishedTable
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import Table, column_title
from medcode.studies.report import captions, evidence_table
from medcode.studies.report.comparison_tables import ComparisonTable, Line, same_corpus
from medcode.studies.report.times import DASH
from medcode.studies.results import comparisons
from medcode.studies.results.comparisons import MINUS, Comparison
from medcode.studies.results.evidence_results import Evidence
from medcode.studies.results.run_results import Runs, Summary

# Columns of table.csv.
COLUMNS = (
    "table", "system", "row", "group", "metric", "unit", "published", "published_deviation", "published_corpus",
    "quoted", "slip", "ours", "ours_deviation", "seeds", "ours_corpus", "difference", "inside",
)  # fmt: skip
# Those of a study without a paper, {name: heading}: nothing is ours where there is nobody else.
PAPERLESS_COLUMNS = {
    "table": "table", "system": "system", "row": "row", "group": "group", "metric": "metric", "unit": "unit",
    "ours": "mean", "ours_deviation": "deviation", "seeds": "seeds", "ours_corpus": "corpus",
}  # fmt: skip


def format_value(value: float, table: Table) -> str:
    """Format a number with the decimals of the table."""
    return f"{value:.{table.decimals}f}"


def format_published(cell: Cell | None, table: Table) -> str:
    """Format a published cell as the paper prints it."""
    return DASH if cell is None else _with_deviation(cell.value, cell.deviation, table)


def format_measured(summary: Summary | None, table: Table) -> str:
    """Format our mean and deviation with the decimals of the table."""
    return DASH if summary is None else _with_deviation(summary.mean, summary.deviation, table)


def _with_deviation(value: float, deviation: float, table: Table) -> str:
    text = format_value(value, table)
    return text if math.isnan(deviation) else f"{text} ± {format_value(deviation, table)}"


def format_difference(measured: Summary | None, published: Cell | None, table: Table) -> str:
    """Format ours minus published; a dash if one of them is missing."""
    if measured is None or published is None:
        return DASH
    difference = measured.mean - published.value
    return f"{'+' if difference >= 0 else MINUS}{format_value(abs(difference), table)}"


def verdict(measured: Summary | None, published: Cell | None) -> str:
    """Return whether our mean ± deviation contains the published number: inside, outside, or empty if unknown."""
    if measured is None or published is None:
        return ""
    return {True: "inside", False: "outside", None: ""}[measured.contains(published.value)]


@dataclass(frozen=True)
class SystemCells:
    """Cells of a system in a group of columns, one per column.

    Attributes:
        published: numbers of the paper.
        measured: our means and deviations.
        slips: notes on misprints of the paper.
    """

    published: list[Cell | None]
    measured: list[Summary | None]
    slips: list[str | None]

    @classmethod
    def of(cls, line: Line, group: str, columns: list[str]) -> SystemCells:
        """Return the cells of a line of a comparison table."""
        keys = [(group, column) for column in columns]
        return cls(
            [line.published.get(key) for key in keys],
            [line.measured.get(key) for key in keys],
            [line.slips.get(key) for key in keys],
        )

    def pairs(self) -> list[tuple[Summary | None, Cell | None]]:
        """Return (measured, published) of each column."""
        return list(zip(self.measured, self.published, strict=True))


def source(line: Line, table: PublishedTable) -> str:
    """Return the source of a published number: the corpus, and whether the paper quotes the number."""
    return f"{CORPORA[table.corpus]}, {'quoted' if line.quoted else 'published'}"


def markdown(
    study: Study, tables: list[ComparisonTable], tests: list[Comparison], runs: Runs, evidence: Evidence | None = None
) -> str:
    """Return the content of table.md."""
    parts = [f"# {study.definition.title}", _about(study, tables, runs)]
    for comparison in tables:
        parts += _table_parts(study, comparison)
    parts += evidence_table.markdown(study, evidence or {})
    if tests:
        parts += ["## Differences between rows", comparisons.markdown(study, tests), comparisons.TESTS]
    return "\n\n".join(parts) + "\n"


def _table_parts(study: Study, comparison: ComparisonTable) -> list[str]:
    """Return a heading and a table for each group of columns, then the remarks and the notes on slips."""
    table, parts = comparison.table, []
    for group, columns in table.groups.items():
        suffix = f", {group}" if len(table.groups) > 1 else ""
        parts.append(f"## {table.heading}{suffix}")
        parts.append(_markdown_table(study, comparison, group, columns.columns))
    remarks = [f"- {remark}" for remark in comparison.remarks]
    notes = [
        f"- {line.title}, {group} {column_title(column)}: {note}."
        for line in comparison.lines
        for (group, column), note in line.slips.items()
    ]
    return [*parts, "\n".join([*remarks, *notes])] if remarks or notes else parts


def _about(study: Study, tables: list[ComparisonTable], runs: Runs) -> str:
    definition, table = study.definition, tables[0].table
    if study.counts_only:
        return f"{study.paper.short}. Ours are counted with the sizes of MIMIC-III; nothing is trained."
    seeds = ", ".join(map(str, definition.seeds))
    means = "mean ± sample standard deviation" if len(definition.seeds) > 1 else "one seed"
    text = (
        f"{'' if study.paper is None else f'{study.paper.short}. Ours: '}{definition.corpus}, "
        f"{'seed' if len(definition.seeds) == 1 else 'seeds'} {seeds} ({means}). Macro F1 as `{table.macro_f1}`; "
        f"threshold {threshold(table)}."
    )
    if study.paper is not None and not same_corpus(study, table):
        text += (
            f" **The published rows are of {CORPORA[table.corpus]} and ours of {definition.corpus}: they cannot be "
            "compared with one another, only rows of one kind among themselves.**"
        )
    return f"{text} {captions.trained(study, runs)}".strip()


def threshold(table: Table) -> str:
    """Return a phrase on the threshold of the table's F1."""
    return "0.5" if table.threshold == "fixed" else "tuned on dev"


def _markdown_table(study: Study, comparison: ComparisonTable, group: str, columns: list[str]) -> str:
    labels = 1 if study.paper is None else 2  # the system, and beside a paper whose numbers these are
    head = "| " * labels + "| " + " | ".join(column_title(column) for column in columns) + " |"
    rule = "|---" * labels + "|" + "--:|" * len(columns)
    systems = [_markdown_system(study, comparison, line, group, columns) for line in comparison.lines]
    return "\n".join([head, rule, *(row for rows in systems for row in rows)])


def _markdown_system(
    study: Study, comparison: ComparisonTable, line: Line, group: str, columns: list[str]
) -> list[str]:
    """Return the rows of a system, each only if present: published, ours and difference; without a paper one row."""
    table, compared = comparison.table, same_corpus(study, comparison.table)
    cells, rows = SystemCells.of(line, group, columns), []
    if study.paper is None:
        texts = [format_measured(summary, table) for summary in cells.measured]
        return [f"| {line.title} | {' | '.join(texts)} |"] if any(cells.measured) else []
    if any(cells.published):
        texts = _markdown_published(cells, table, compared=compared)
        rows.append(_markdown_row(line.title, source(line, table), texts))
    if any(cells.measured):
        texts = [format_measured(summary, table) for summary in cells.measured]
        rows.append(_markdown_row("" if rows else line.title, f"**ours**, {study.definition.corpus}", texts))
    if any(cells.published) and any(cells.measured) and compared:
        pairs = cells.pairs()
        texts = [f"{format_difference(*pair, table)} {verdict(*pair)}".rstrip() for pair in pairs]
        rows.append(f"| | difference | {' | '.join(texts)} |")
    return rows


def _markdown_published(cells: SystemCells, table: Table, *, compared: bool) -> list[str]:
    """Return published cells: in italics if on another corpus, with (!) at slips of the paper."""
    texts = []
    for cell, slip in zip(cells.published, cells.slips, strict=True):
        text = format_published(cell, table)
        text = text if compared or text == DASH else f"*{text}*"
        texts.append(f"{text} (!)" if slip is not None else text)
    return texts


def _markdown_row(title: str, label: str, texts: list[str]) -> str:
    return f"| {title} | {label} | {' | '.join(texts)} |"


def as_csv(study: Study, tables: list[ComparisonTable]) -> str:
    """Return the content of table.csv: one line per system, group and column."""
    buffer = io.StringIO()
    headings = PAPERLESS_COLUMNS if study.paper is None else {name: name for name in COLUMNS}
    writer = csv.DictWriter(buffer, list(headings), lineterminator="\n")
    writer.writerow(headings)
    for comparison in tables:
        for line in comparison.lines:
            for group, columns in comparison.table.groups.items():
                for column in columns.columns:
                    writer.writerow(_csv_line(study, comparison, line, group, column))
    return buffer.getvalue()


def _csv_line(study: Study, comparison: ComparisonTable, line: Line, group: str, column: str) -> dict[str, Any]:
    table, measured = comparison.table, line.measured.get((group, column))
    values: dict[str, Any] = {
        "table": comparison.key, "system": line.title, "row": line.row or "", "group": group, "metric": column,
        "unit": table.unit,
    }  # fmt: skip
    if isinstance(table, PublishedTable):
        values |= _csv_published(study, table, line, group, column)
    if measured:
        values |= {
            "ours": f"{measured.mean:.4f}",
            "ours_deviation": _number(measured.deviation),
            "seeds": len(measured.values),
            "ours_corpus": study.definition.corpus,
        }
    return values


def _csv_published(study: Study, table: PublishedTable, line: Line, group: str, column: str) -> dict[str, Any]:
    """Return the cells of a line about the paper's number, and about the difference if there are both."""
    published, measured = line.published.get((group, column)), line.measured.get((group, column))
    values: dict[str, Any] = {
        "published_corpus": CORPORA[table.corpus],
        "quoted": str(line.quoted).lower(),
        "slip": line.slips.get((group, column), ""),
    }
    if published:
        values |= {
            "published": format_value(published.value, table),
            "published_deviation": _number(published.deviation),
        }
    if published and measured and same_corpus(study, table):
        inside = measured.contains(published.value)
        values["difference"] = f"{measured.mean - published.value:.4f}"
        values["inside"] = "" if inside is None else str(inside).lower()
    return values


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
