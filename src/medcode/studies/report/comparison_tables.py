"""The published tables of a study, line by line, with our numbers beside the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field

from medcode.io import read_json
from medcode.studies.definition.published import Cell, PublishedRow, Table, cell
from medcode.studies.definition.study import Study
from medcode.studies.results import paired_gains, run_results
from medcode.studies.results.run_results import Runs, Summary


@dataclass
class Line:
    """A system: its published numbers, and ours, by (group, column); `slips` are notes on published cells."""

    title: str
    row: str | None = None
    quoted: bool = False
    published: dict[tuple[str, str], Cell] = field(default_factory=dict)
    ours: dict[tuple[str, str], Summary] = field(default_factory=dict)
    slips: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class Section:
    """A published table with its lines, and remarks on it: the paper's table's, then ours."""

    key: str
    table: Table
    lines: list[Line]
    remarks: list[str] = field(default_factory=list)


def sections(study: Study, runs: Runs) -> list[Section]:
    """The study's published tables, each with its own rows in the paper's order and then ours that it has not."""
    made = []
    for key, table in study.tables().items():
        ours = {name: row for name, row in study.definition.rows.items() if study.table_of(row) == key}
        by_published = {row.published.split("/", 1)[1]: name for name, row in ours.items() if row.published}
        lines = [_published(title, row, table, by_published.get(title)) for title, row in table.rows.items()]
        gained = paired_gains.remark(study, table)
        if gained:
            _with_gains(study, runs, table, lines)
        else:
            lines += [Line(row.title, name) for name, row in ours.items() if not row.published]
        if study.counts_only:
            lines = _with_counts(study, table, lines)
        for line in lines:
            if line.row and not study.counts_only:
                line.ours = _ours(study, runs, table, line.row)
        made.append(Section(key, table, lines, [text for text in (table.remark, gained) if text]))
    return made


def _published(title: str, row: PublishedRow, table: Table, own: str | None) -> Line:
    line = Line(title, own, row.quoted)
    for group, cells in row.cells.items():
        for column, written in zip(table.groups[group].columns, cells, strict=True):
            if (read := cell(written)) is not None:
                line.published[group, column] = read
    line.slips = {tuple(slip.split(".", 1)): note for slip, note in row.slips.items()}
    return line


def _with_gains(study: Study, runs: Runs, table: Table, lines: list[Line]) -> None:
    """Sets our gain beside each published one, which is of two rows and so of none."""
    for line in lines:
        if (codes := table.rows[line.title].codes) is None:
            continue
        for group, columns in table.groups.items():
            if (found := paired_gains.gain(study, runs, table, group, codes)) is not None:
                line.ours[group, columns.columns[0]] = found


def _with_counts(study: Study, table: Table, lines: list[Line]) -> list[Line]:
    """Puts our counts below each published number: it does not say with how many codes it was counted."""
    counts = read_json(study.root / study.name / "parameters.json")
    more = []
    for line in lines:
        more.append(line)
        for label_set, title in (("top50", "50 codes"), ("full", "all 8,921 codes")) if line.row else ():
            ours = {
                (group, column): Summary((counts[line.row][label_set][column] / 1e6,))
                for group, columns in table.groups.items()
                for column in columns.columns
            }
            more.append(Line(f"{study.definition.rows[line.row].title}, {title}", ours=ours))
    return more


def _ours(study: Study, runs: Runs, table: Table, row: str) -> dict[tuple[str, str], Summary]:
    found = {}
    for group, columns in table.groups.items():
        if (where := run_results.place(table, group, study.label_sets(row))) is None:
            continue
        label_set, head = where
        for column in columns.columns:
            if (summary := run_results.summarise(runs[row, label_set], head, column, table)) is not None:
                found[group, column] = summary
    return found


def same_corpus(study: Study, table: Table) -> bool:
    """Whether our numbers and the paper's are of one corpus, and so can be compared."""
    return study.definition.corpus == table.corpus
