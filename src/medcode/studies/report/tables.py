"""The table of a study beside the published one, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from medcode.studies.definition.published import CORPORA, Cell, Table, column_title
from medcode.studies.definition.study import Study
from medcode.studies.report import captions
from medcode.studies.report.comparison_tables import Line, Section, same_corpus
from medcode.studies.results import comparisons
from medcode.studies.results.comparisons import MINUS, Comparison
from medcode.studies.results.run_results import Runs, Summary

DASH = "\N{EN DASH}"


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


def markdown(study: Study, made: list[Section], tested: list[Comparison], runs: Runs) -> str:
    """The content of table.md."""
    parts = [f"# {study.definition.title}", _about(study, made, runs)]
    for section in made:
        table = section.table
        for group, columns in table.groups.items():
            heading = f"{table.number}: {table.title}"
            parts.append(f"## {heading}{f', {group}' if len(table.groups) > 1 else ''}")
            parts.append(_markdown_table(study, section, group, columns.columns))
        notes = [
            f"- {line.title}, {_column(*slip)}: {note}." for line in section.lines for slip, note in line.slips.items()
        ]
        if notes or section.remarks:
            parts.append("\n".join([*(f"- {remark}" for remark in section.remarks), *notes]))
    if tested:
        parts += ["## Differences between rows", comparisons.markdown(study, tested), comparisons.TESTS]
    return "\n\n".join(parts) + "\n"


def _about(study: Study, made: list[Section], runs: Runs) -> str:
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
    return f"{text} {captions.trained(study, runs)}".strip()


def _threshold(table: Table) -> str:
    return "0.5" if table.threshold == "fixed" else "tuned on dev"


def _column(group: str, column: str) -> str:
    return f"{group} {column_title(column)}"


def _markdown_table(study: Study, section: Section, group: str, columns: list[str]) -> str:
    table, compared = section.table, same_corpus(study, section.table)
    lines = [
        "| | | " + " | ".join(column_title(column) for column in columns) + " |",
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
