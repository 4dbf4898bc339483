"""Report page of a study: self-contained, sortable HTML, the same bytes for the same results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medcode.report.inline import inline
from medcode.report.page import STYLE
from medcode.studies.definition.published import CORPORA
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import Table, column_title
from medcode.studies.report import captions, commit_links, evidence_table
from medcode.studies.report.comparison_tables import ComparisonTable, Line, same_corpus
from medcode.studies.report.figure_data import StudyFigure
from medcode.studies.report.tables import (
    SystemCells,
    format_difference,
    format_measured,
    format_published,
    source,
    threshold,
    verdict,
)
from medcode.studies.report.times import DASH, format_time, mean_cpu_seconds
from medcode.studies.results import comparisons
from medcode.studies.results.comparisons import Comparison
from medcode.studies.results.evidence_results import MEASURES, Evidence
from medcode.studies.results.run_results import RowSettings, Run, Runs

TEMPLATE = Path(__file__).with_name("page.html")


def render(
    study: Study,
    tables: list[ComparisonTable],
    tests: list[Comparison],
    figures: Mapping[str, StudyFigure],
    runs: Runs,
    settings: RowSettings,
    repository: str | None = None,
    evidence: Evidence | None = None,
) -> str:
    """Return the page with inline style, figures and the few lines that sort tables; nothing is loaded from elsewhere.

    Args:
        study: the study.
        tables: the tables with our numbers, and the paper's if there is one.
        tests: tests of the differences between rows.
        figures: figures by name.
        runs: trainings by row and label set.
        settings: what each row was trained with.
        repository: web page of the repository, from `commit_links.address`.
        evidence: measures of the evidence of its models, from `evidence_results.read`.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shared, differing = _settings(study, settings)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=study.definition.title,
        about=_about(study, tables),
        warning=_warning(study, tables),
        how=None if study.counts_only else captions.trained(study, runs),
        tables=[_table(study, comparison, group) for comparison in tables for group in comparison.table.groups],
        evidence=[row | {"sort": json.dumps(row["keys"])} for row in evidence_table.page_rows(study, evidence or {})],
        evidence_columns=[evidence_table.TITLES[name] for name in MEASURES],
        evidence_explanation=evidence_table.EXPLANATION,
        figures=[{"svg": inline(f.svg), "title": f.title, "caption": f.caption} for f in figures.values()],
        tested=[_test_row(study, test, len(tests)) for test in tests],
        tests=comparisons.TESTS,
        trained=_training_rows(study, runs, settings, repository),
        shared=shared,
        differing=differing,
    )


def _about(study: Study, tables: list[ComparisonTable]) -> str:
    definition, table = study.definition, tables[0].table
    if study.counts_only:
        return f"Beside {study.paper.short}. Ours are counted with the sizes of MIMIC-III; nothing is trained."
    seeds = ", ".join(map(str, definition.seeds))
    several = len(definition.seeds) > 1
    before, after = ("On", "") if study.paper is None else (f"Beside {study.paper.short}. Ours on", ", as in the paper")
    return (
        f"{before} {definition.corpus}, {'seeds' if several else 'seed'} {seeds}"
        f"{'; means ± sample standard deviations' if several else ''}. Macro F1 as {table.macro_f1}, threshold "
        f"{threshold(table)}{after}."
    )


def _warning(study: Study, tables: list[ComparisonTable]) -> str | None:
    table = tables[0].table
    if study.paper is None or same_corpus(study, table):
        return None
    return (
        f"The published numbers, in gray, are of {CORPORA[table.corpus]}; ours are of {study.definition.corpus}. They "
        "cannot be compared with one another, only rows of one kind among themselves."
    )


def _table(study: Study, comparison: ComparisonTable, group: str) -> dict[str, Any]:
    table, columns = comparison.table, comparison.table.groups[group].columns
    title = table.heading
    notes: list[str] = []
    systems = [_system(study, comparison, line, group, notes) for line in comparison.lines]
    return {
        "title": f"{title}, {group}" if len(table.groups) > 1 else title,
        "labeled": study.paper is not None,
        "columns": [column_title(column) for column in columns],
        "systems": [system for system in systems if system["rows"]],
        "compared": any(row["type"] == "gap" for system in systems for row in system["rows"]),
        "remarks": comparison.remarks,
        "notes": notes,
    }


def _system(study: Study, comparison: ComparisonTable, line: Line, group: str, notes: list[str]) -> dict[str, Any]:
    """Return the rows of a system (published, ours, difference; each only if present) and its sort keys.

    Args:
        notes: notes on slips of the paper; those of this system are appended.
    """
    table, columns = comparison.table, comparison.table.groups[group].columns
    compared = same_corpus(study, table)
    cells, rows = SystemCells.of(line, group, columns), []
    if any(cells.published):
        style = "" if compared else "elsewhere"
        rows.append(_row("published", source(line, table), _published_cells(line, columns, cells, table, notes), style))
    if any(cells.measured):
        texts = [_cell(format_measured(summary, table)) for summary in cells.measured]
        rows.append(_row("ours" if rows else "ours alone", f"ours, {study.definition.corpus}", texts))
    if any(cells.measured) and any(cells.published) and compared:
        differences = [_cell(format_difference(*pair, table), verdict=verdict(*pair)) for pair in cells.pairs()]
        rows.append(_row("gap", "difference", differences))
    labels = [line.title] if study.paper is None else [line.title, None]
    return {"title": line.title, "rows": rows, "sort": json.dumps([*labels, *_sort_keys(cells, compared)])}


def _published_cells(
    line: Line, columns: list[str], cells: SystemCells, table: Table, notes: list[str]
) -> list[dict[str, Any]]:
    """Return the published cells. A cell with a slip gets the number of its note, which is appended to `notes`."""
    row = []
    for column, published, slip in zip(columns, cells.published, cells.slips, strict=True):
        if slip:
            notes.append(f"{line.title}, {column_title(column)}: {slip}.")
        row.append(_cell(format_published(published, table), note=len(notes) if slip else None))
    return row


def _sort_keys(cells: SystemCells, compared: bool) -> list[float | None]:
    """Return the sort key of each column: our mean, or else the published number if it is on the same corpus."""
    keys = []
    for measured, published in cells.pairs():
        published_value = published.value if published and compared else None
        keys.append(measured.mean if measured else published_value)
    return keys


def _cell(text: str, note: int | None = None, verdict: str | None = None) -> dict[str, Any]:
    return {"text": text, "note": note, "verdict": verdict}


def _row(row_type: str, label: str, cells: list[dict[str, Any]], style: str = "") -> dict[str, Any]:
    return {"type": row_type, "label": label, "cells": cells, "class": style}


def _test_row(study: Study, test: Comparison, number: int) -> dict[str, Any]:
    first, second = (study.definition.rows[row].title for row in (test.first, test.second))
    keys = [
        first, second, test.group, test.micro.observed, test.holm["micro"], test.macro.observed, test.holm["macro"],
        test.decisions.second_right - test.decisions.first_right, test.holm["decisions"],
    ]  # fmt: skip
    return {
        "first": first,
        "second": second,
        "group": test.group,
        "cells": comparisons.cells(test, number),
        "sort": json.dumps(keys),
    }


def _training_rows(study: Study, runs: Runs, settings: RowSettings, repository: str | None) -> list[dict[str, Any]]:
    rows = []
    for (name, label_set), seed_runs in runs.items():
        if not seed_runs or (name, label_set) not in settings:
            continue
        trained_with = settings[name, label_set]
        seconds = [second for run in seed_runs for second in run.epoch_times("seconds")]
        mean = statistics.fmean(seconds) if seconds else None
        total = seed_runs[0].train["parameters"]["total"]
        title, device = study.definition.rows[name].title, seed_runs[0].environment["device"]
        cpu_seconds = mean_cpu_seconds(device, [run.cpu_seconds() for run in seed_runs])
        commits = sorted({run.environment["commit"] or DASH for run in seed_runs})
        cells = [
            title, label_set, trained_with["model"], trained_with["recipe"], f"{total:,}",
            _span(seed_runs, "epochs_run"),
            _span(seed_runs, "best_epoch"), _ends(seed_runs), DASH if mean is None else f"{mean:.1f}",
            format_time(cpu_seconds), device, seed_runs[0].environment["torch"],
        ]  # fmt: skip
        last, best = (max(run.train[key] for run in seed_runs) for key in ("epochs_run", "best_epoch"))
        keys = [*cells[:4], total, last, best, cells[7], mean, cpu_seconds, *cells[10:], ", ".join(commits)]
        links = [
            {"id": commit, "url": commit_links.link(repository, commit), "command": commit_links.command(commit)}
            for commit in commits
        ]
        rows.append({"cells": cells, "commits": links, "sort": json.dumps(keys)})
    return rows


def _span(seed_runs: list[Run], key: str) -> str:
    """Return the range of a number over the seeds, from the lowest to the highest."""
    values = sorted({run.train[key] for run in seed_runs})
    return f"{values[0]}" if len(values) == 1 else f"{values[0]}{DASH}{values[-1]}"


def _ends(seed_runs: list[Run]) -> str:
    """Return why the trainings ended; if reasons differ, each with its seeds."""
    seeds: dict[str, list[int]] = {}
    for run in seed_runs:
        seeds.setdefault(run.train["stopped"], []).append(run.seed)
    several = len(seeds) > 1
    return "; ".join(
        f"{reason} (seed {', '.join(map(str, numbers))})" if several else reason for reason, numbers in seeds.items()
    )


def _settings(study: Study, settings: RowSettings) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Return the settings that all rows share and those of each row, split by label set if these differ."""
    if not settings:
        return [], []
    flat = {position: _flat(values) for position, values in settings.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key not in ("seed", "label_set"))
    shared = [key for key in keys if len({values.get(key) for values in flat.values()}) == 1]
    by_row: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for (name, label_set), values in flat.items():
        by_row.setdefault(name, {})[label_set] = [
            (key, values[key]) for key in keys if key in values and key not in shared
        ]
    differing = []
    for name, by_label_set in by_row.items():
        title = study.definition.rows[name].title
        first, *further = by_label_set.values()
        if all(values == first for values in further):
            differing.append({"title": title, "settings": first})
        else:
            differing += [{"title": f"{title}, {key}", "settings": values} for key, values in by_label_set.items()]
    values = next(iter(flat.values()))
    return [(key, values[key]) for key in shared], differing


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if not isinstance(value, str) else value
    return flat
