"""The table of a study beside the published one: as data, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import Any

from medcode.io import read_json
from medcode.studies import results, significance
from medcode.studies.published import CORPORA, METRICS, Cell, Table, cell
from medcode.studies.results import Run, Summary
from medcode.studies.significance import Difference, Disagreement
from medcode.studies.study import Study

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


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
class Comparison:
    """The difference between two rows in a group of columns."""

    first: str
    second: str
    group: str
    micro: Difference
    macro: Difference
    decisions: Disagreement
    holm: dict[str, float] = field(default_factory=dict)


@dataclass
class Section:
    """A published table with its lines."""

    key: str
    table: Table
    lines: list[Line]


def sections(study: Study, runs: dict[tuple[str, str], list[Run]]) -> list[Section]:
    """The study's published tables, each with its own rows in the paper's order and then ours that it has not."""
    made = []
    for key, table in study.tables().items():
        ours = {name: row for name, row in study.definition.rows.items() if study.table_of(row) == key}
        by_published = {row.published.split("/", 1)[1]: name for name, row in ours.items() if row.published}
        lines = []
        for title, row in table.rows.items():
            line = Line(title, by_published.get(title), row.quoted)
            for group, cells in row.cells.items():
                for column, written in zip(table.groups[group].columns, cells, strict=True):
                    if (read := cell(written)) is not None:
                        line.published[group, column] = read
            line.slips = {tuple(slip.split(".", 1)): note for slip, note in row.slips.items()}
            lines.append(line)
        lines += [Line(row.title, name) for name, row in ours.items() if not row.published]
        if study.counts_only:
            lines = _with_counts(study, table, lines)
        for line in lines:
            if line.row and not study.counts_only:
                line.ours = _ours(study, runs, table, line.row)
        made.append(Section(key, table, lines))
    return made


def _with_counts(study: Study, table: Table, lines: list[Line]) -> list[Line]:
    """Puts our counts below each published number: it does not say with how many codes it was counted."""
    counts = read_json(study.root / study.name / "parameters.json")
    (group,) = table.groups
    more = []
    for line in lines:
        more.append(line)
        for label_set, title in (("top50", "50 codes"), ("full", "all 8,921 codes")) if line.row else ():
            total = Summary((counts[line.row][label_set]["total"] / 1e6,))
            more.append(Line(f"{study.definition.rows[line.row].title}, {title}", ours={(group, "parameters"): total}))
    return more


def _ours(
    study: Study, runs: dict[tuple[str, str], list[Run]], table: Table, row: str
) -> dict[tuple[str, str], Summary]:
    found = {}
    for group, columns in table.groups.items():
        if (where := results.place(table, group, study.label_sets(row))) is None:
            continue
        label_set, head = where
        for column in columns.columns:
            if (summary := results.summarise(runs[row, label_set], head, column, table)) is not None:
                found[group, column] = summary
    return found


def comparisons(study: Study, runs: dict[tuple[str, str], list[Run]]) -> list[Comparison]:
    """Tests the pairs of rows that the study names, in each group that both have, and corrects for their number."""
    made = []
    for first, second in study.definition.comparisons:
        table = study.paper.tables[study.table_of(study.definition.rows[second])]
        for group in table.groups:
            places = [results.place(table, group, study.label_sets(row)) for row in (first, second)]
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


def shown(value: float, table: Table) -> str:
    """A number in the table's own format."""
    return f"{value:.{table.decimals}f}"


def shown_published(found: Cell | None, table: Table) -> str:
    """A published cell as the paper prints it."""
    if found is None:
        return DASH
    deviation = "" if math.isnan(found.deviation) else f" ± {shown(found.deviation, table)}"
    return shown(found.value, table) + deviation


def shown_ours(found: Summary | None, table: Table) -> str:
    """Our mean and deviation in the paper's format."""
    if found is None:
        return DASH
    deviation = "" if math.isnan(found.deviation) else f" ± {shown(found.deviation, table)}"
    return shown(found.mean, table) + deviation


def shown_difference(ours: Summary | None, published: Cell | None, table: Table) -> str:
    """Ours minus published, and whether our interval contains the published number."""
    if ours is None or published is None:
        return DASH
    gap = ours.mean - published.value
    inside = ours.contains(published.value)
    sign = "+" if gap >= 0 else MINUS
    verdict = {True: " inside", False: " outside", None: ""}[inside]
    return f"{sign}{shown(abs(gap), table)}{verdict}"


def p_value(p: float) -> str:
    """A p value in words that do not pretend to more than the resamples give."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def same_corpus(study: Study, table: Table) -> bool:
    """Whether our numbers and the paper's are of one corpus, and so can be compared."""
    return study.definition.corpus == table.corpus


def markdown(study: Study, made: list[Section], tested: list[Comparison]) -> str:
    """The content of table.md."""
    definition = study.definition
    parts = [f"# {definition.title}", _about(study, made)]
    for section in made:
        table = section.table
        for group, columns in table.groups.items():
            heading = f"{table.number}: {table.title}"
            parts.append(f"## {heading}{f', {group}' if len(table.groups) > 1 else ''}")
            parts.append(_markdown_table(study, section, group, columns.columns))
        notes = [
            f"- {line.title}, {_column(*slip)}: {note}." for line in section.lines for slip, note in line.slips.items()
        ]
        if notes or table.remark:
            parts.append("\n".join([*([f"- {table.remark}"] if table.remark else []), *notes]))
    if tested:
        parts += ["## Differences between rows", _tested(study, tested), TESTS]
    return "\n\n".join(parts) + "\n"


TESTS = (
    "Second row minus first, over the test documents. F1: paired bootstrap over documents, 10,000 resamples, means "
    "over seeds, in brackets the interval of 95 %. Decisions: McNemar's exact test, with the numbers of decisions that "
    "only the first and only the second row got right, means over seeds. All p are corrected for the number of "
    "comparisons (Holm)."
)


def _about(study: Study, made: list[Section]) -> str:
    definition, table = study.definition, made[0].table
    if study.counts_only:
        return f"{study.paper.short}. Ours are counted with the sizes of MIMIC-III; nothing is trained."
    seeds = ", ".join(map(str, definition.seeds))
    means = "mean ± sample standard deviation" if len(definition.seeds) > 1 else "one seed"
    text = (
        f"{study.paper.short}. Ours: {definition.corpus}, {'seed' if len(definition.seeds) == 1 else 'seeds'} {seeds} "
        f"({means}). Macro F1 as `{table.macro_f1}`; threshold {_threshold(table)}."
    )
    if not same_corpus(study, table):
        text += (
            f" **The published rows are of {CORPORA[table.corpus]} and ours of {definition.corpus}: they cannot be "
            "compared with one another, only rows of one kind among themselves.**"
        )
    return f"{text} {definition.small_remark.strip()}" if study.small and definition.small_remark else text


def _threshold(table: Table) -> str:
    return "0.5" if table.threshold == "fixed" else "tuned on dev"


def _column(group: str, column: str) -> str:
    return f"{group} {METRICS.get(column, column)}"


def _markdown_table(study: Study, section: Section, group: str, columns: list[str]) -> str:
    table, compared = section.table, same_corpus(study, section.table)
    lines = [
        "| | | " + " | ".join(METRICS.get(column, column) for column in columns) + " |",
        "|---|---|" + "--:|" * len(columns),
    ]
    for line in section.lines:
        published = [line.published.get((group, column)) for column in columns]
        ours = [line.ours.get((group, column)) for column in columns]
        title = line.title
        if any(published):
            cells = [shown_published(found, table) for found in published]
            if not compared:
                cells = [f"*{text}*" if text != DASH else text for text in cells]
            cells = [
                f"{text} (!)" if (group, column) in line.slips else text
                for text, column in zip(cells, columns, strict=True)
            ]
            kind = f"{CORPORA[table.corpus]}, {'quoted' if line.quoted else 'published'}"
            lines.append(f"| {title} | {kind} | {' | '.join(cells)} |")
            title = ""
        if any(ours):
            cells = [shown_ours(found, table) for found in ours]
            lines.append(f"| {title} | **ours**, {study.definition.corpus} | {' | '.join(cells)} |")
            if any(published) and compared:
                gaps = [shown_difference(own, other, table) for own, other in zip(ours, published, strict=True)]
                lines.append(f"| | difference | {' | '.join(gaps)} |")
    return "\n".join(lines)


def _tested(study: Study, tested: list[Comparison]) -> str:
    lines = [
        "| first | second | | micro F1 | p | macro F1 | p | decisions | p |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in tested:
        titles = " | ".join(study.definition.rows[row].title for row in (one.first, one.second))
        cells = [
            shown_gap(one.micro), p_value(one.holm["micro"]), shown_gap(one.macro), p_value(one.holm["macro"]),
            f"{one.decisions.first_right} : {one.decisions.second_right}", p_value(one.holm["decisions"]),
        ]  # fmt: skip
        lines.append(f"| {titles} | {one.group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def signed(value: float) -> str:
    """A difference of two metrics, in hundredths."""
    return f"{'+' if value >= 0 else MINUS}{abs(100 * value):.1f}"


def shown_gap(difference: Difference) -> str:
    """A difference with its interval, in hundredths."""
    return f"{signed(difference.observed)} [{signed(difference.low)}, {signed(difference.high)}]"


def as_csv(study: Study, made: list[Section]) -> str:
    """The content of table.csv: one line a system, group and column."""
    buffer = io.StringIO()
    names = (
        "table", "system", "row", "group", "metric", "unit", "published", "published_deviation", "published_corpus",
        "quoted", "slip", "ours", "ours_deviation", "seeds", "ours_corpus", "difference", "inside",
    )  # fmt: skip
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for section in made:
        for line in section.lines:
            for group, columns in section.table.groups.items():
                for column in columns.columns:
                    writer.writerow(_csv_line(study, section, line, group, column))
    return buffer.getvalue()


def _csv_line(study: Study, section: Section, line: Line, group: str, column: str) -> dict[str, Any]:
    table = section.table
    published, ours = line.published.get((group, column)), line.ours.get((group, column))
    values: dict[str, Any] = {
        "table": section.key, "system": line.title, "row": line.row or "", "group": group, "metric": column,
        "unit": table.unit, "published_corpus": CORPORA[table.corpus], "quoted": str(line.quoted).lower(),
        "slip": line.slips.get((group, column), ""),
    }  # fmt: skip
    if published:
        values |= {"published": shown(published.value, table), "published_deviation": _number(published.deviation)}
    if ours:
        values |= {"ours": f"{ours.mean:.4f}", "ours_deviation": _number(ours.deviation), "seeds": len(ours.values)}
        values["ours_corpus"] = study.definition.corpus
    if published and ours and same_corpus(study, table):
        inside = ours.contains(published.value)
        values |= {"difference": f"{ours.mean - published.value:.4f}"}
        values |= {} if inside is None else {"inside": str(inside).lower()}
    return values


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
