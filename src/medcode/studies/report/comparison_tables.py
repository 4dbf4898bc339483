"""The tables of a study: our numbers, next to the paper's if it has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medcode.io import read_json
from medcode.studies.definition.published import Cell, PublishedRow, PublishedTable, cell
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import Table
from medcode.studies.results import paired_gains, run_results
from medcode.studies.results.run_results import Runs, Summary


@dataclass
class Line:
    """The numbers of a system, published and ours, by (group, column). `slips` are notes on published cells."""

    title: str
    row: str | None = None
    quoted: bool = False
    published: dict[tuple[str, str], Cell] = field(default_factory=dict)
    measured: dict[tuple[str, str], Summary] = field(default_factory=dict)
    slips: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class ComparisonTable:
    """A table with its lines and with remarks: first the paper's, then ours."""

    key: str
    table: Table
    lines: list[Line]
    remarks: list[str] = field(default_factory=list)


def build(study: Study, runs: Runs) -> list[ComparisonTable]:
    """Return the tables of a study. Rows are in the paper's order, then those that only we have, then ensembles."""
    tables: list[ComparisonTable] = []
    for key, table in study.tables().items():
        rows = {name: row for name, row in study.definition.rows.items() if study.table_of(row) == key}
        published = table.rows if isinstance(table, PublishedTable) else {}
        by_published = {row.published.split("/", 1)[1]: name for name, row in rows.items() if row.published}
        lines = [_published_line(title, row, table, by_published.get(title)) for title, row in published.items()]
        gain_remark = paired_gains.remark(study, table)
        if gain_remark:
            _add_paired_gains(study, runs, table, lines)
        else:
            lines += [Line(row.title, name) for name, row in rows.items() if not row.published]
        if study.counts_only:
            lines = _add_parameter_counts(study, table, lines)
        for line in lines:
            if line.row and not study.counts_only:
                line.measured = _measured(study, runs, table, line.row)
        if not tables:
            lines += _ensembles(study, table)
        remarks = [text for text in (table.remark, gain_remark) if text]
        tables.append(ComparisonTable(key, table, lines, remarks))
    return tables


def _ensembles(study: Study, table: Table) -> list[Line]:
    """Return the ensembles of a study, each a single number without a deviation."""
    measured = run_results.ensembles(study)
    return [
        Line(ensemble.title, measured=_measured_as_one(study, name, table, measured[name]) if name in measured else {})
        for name, ensemble in study.definition.ensembles.items()
    ]


def _measured_as_one(study: Study, name: str, table: Table, test: dict[str, Any]) -> dict[tuple[str, str], Summary]:
    summaries = {}
    for group, columns in table.groups.items():
        position = run_results.label_set_and_head(table, group, [study.ensemble_label_set(name)])
        if position is None or position[1] not in test:
            continue
        for column in columns.columns:
            if (summary := run_results.summarize_metrics([test[position[1]]], column, table)) is not None:
                summaries[group, column] = summary
    return summaries


def _published_line(title: str, row: PublishedRow, table: PublishedTable, study_row: str | None) -> Line:
    line = Line(title, study_row, row.quoted)
    for group, cells in row.cells.items():
        for column, text in zip(table.groups[group].columns, cells, strict=True):
            if (published := cell(text)) is not None:
                line.published[group, column] = published
    line.slips = {tuple(slip.split(".", 1)): note for slip, note in row.slips.items()}
    return line


def _add_paired_gains(study: Study, runs: Runs, table: PublishedTable, lines: list[Line]) -> None:
    """Fill in our gain (second row minus first) next to each published gain.

    A gain belongs to a pair of rows, so such lines have no row of their own.
    """
    for line in lines:
        if (codes := table.rows[line.title].codes) is None:
            continue
        for group, columns in table.groups.items():
            if (gain := paired_gains.paired_gain(study, runs, table, group, codes)) is not None:
                line.measured[group, columns.columns[0]] = gain


def _add_parameter_counts(study: Study, table: Table, lines: list[Line]) -> list[Line]:
    """Add lines with our counts below each published count, whose number of codes is unknown."""
    counts = read_json(study.root / study.name / "parameters.json")
    all_lines = []
    for line in lines:
        all_lines.append(line)
        for label_set, title in (("top50", "50 codes"), ("full", "all 8,921 codes")) if line.row else ():
            counts_by_column = {
                (group, column): Summary((counts[line.row][label_set][column] / 1e6,))
                for group, columns in table.groups.items()
                for column in columns.columns
            }
            all_lines.append(Line(f"{study.definition.rows[line.row].title}, {title}", measured=counts_by_column))
    return all_lines


def _measured(study: Study, runs: Runs, table: Table, row: str) -> dict[tuple[str, str], Summary]:
    metrics = {}
    for group, columns in table.groups.items():
        if (position := run_results.label_set_and_head(table, group, study.label_sets(row))) is None:
            continue
        label_set, head = position
        for column in columns.columns:
            if (summary := run_results.summarize(runs[row, label_set], head, column, table)) is not None:
                metrics[group, column] = summary
    return metrics


def same_corpus(study: Study, table: Table) -> bool:
    """Return whether the paper has numbers on the same corpus as we, so that they can be compared."""
    return isinstance(table, PublishedTable) and study.source == table.corpus
