"""The report of a study: one self-contained page, sortable, the same bytes for the same results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medcode.report.page import STYLE, inline
from medcode.studies.definition.published import CORPORA, column_title
from medcode.studies.definition.study import Study
from medcode.studies.report import captions, commit_links, tables
from medcode.studies.report.comparison_tables import Line, Section, same_corpus
from medcode.studies.report.figure_data import Drawn
from medcode.studies.report.tables import DASH
from medcode.studies.results import comparisons
from medcode.studies.results.comparisons import Comparison
from medcode.studies.results.run_results import RowSettings, Run, Runs

TEMPLATE = Path(__file__).with_name("page.html")


def render(
    study: Study,
    made: list[Section],
    tested: list[Comparison],
    drawn: Mapping[str, Drawn],
    runs: Runs,
    settings: RowSettings,
    repository: str | None = None,
) -> str:
    """Writes the page: inline style, figures and the few lines that sort tables; nothing is loaded from elsewhere.

    Args:
        study: the study.
        made: its tables.
        tested: differences between rows.
        drawn: figures by name.
        runs: trainings by row and label set.
        settings: what each row was trained with.
        repository: where commits can be looked at, as `revisions.address` says.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shared, differing = _settings(study, settings)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        title=study.definition.title,
        about=_about(study, made),
        warning=_warning(study, made),
        how=None if study.counts_only else captions.trained(study, runs),
        tables=[_table(study, section, group) for section in made for group in section.table.groups],
        figures=[{"svg": inline(f.svg), "title": f.title, "caption": f.caption} for f in drawn.values()],
        tested=[_tested(study, one, len(tested)) for one in tested],
        tests=comparisons.TESTS,
        trained=_trained(study, runs, settings, repository),
        shared=shared,
        differing=differing,
    )


def _about(study: Study, made: list[Section]) -> str:
    definition, table = study.definition, made[0].table
    if study.counts_only:
        return f"Beside {study.paper.short}. Ours are counted with the sizes of MIMIC-III; nothing is trained."
    seeds = ", ".join(map(str, definition.seeds))
    many = len(definition.seeds) > 1
    return (
        f"Beside {study.paper.short}. Ours on {definition.corpus}, {'seeds' if many else 'seed'} {seeds}"
        f"{'; means ± sample standard deviations' if many else ''}. Macro F1 as {table.macro_f1}, threshold "
        f"{'0.5' if table.threshold == 'fixed' else 'tuned on dev'}, as in the paper."
    )


def _warning(study: Study, made: list[Section]) -> str | None:
    table = made[0].table
    if same_corpus(study, table):
        return None
    return (
        f"The published numbers, in grey, are of {CORPORA[table.corpus]}; ours are of {study.definition.corpus}. They "
        "cannot be compared with one another, only rows of one kind among themselves."
    )


def _table(study: Study, section: Section, group: str) -> dict[str, Any]:
    table, columns = section.table, section.table.groups[group].columns
    notes: list[str] = []
    systems = [_system(study, section, line, group, columns, notes) for line in section.lines]
    title = f"{table.number}: {table.title}"
    return {
        "title": f"{title}, {group}" if len(table.groups) > 1 else title,
        "columns": [column_title(column) for column in columns],
        "systems": [system for system in systems if system["rows"]],
        "compared": any(row["kind"] == "gap" for system in systems for row in system["rows"]),
        "remarks": section.remarks,
        "notes": notes,
    }


def _system(
    study: Study, section: Section, line: Line, group: str, columns: list[str], notes: list[str]
) -> dict[str, Any]:
    table, compared = section.table, same_corpus(study, section.table)
    published = [line.published.get((group, column)) for column in columns]
    ours = [line.ours.get((group, column)) for column in columns]
    rows = []
    if any(published):
        cells = []
        for column, found in zip(columns, published, strict=True):
            slip = line.slips.get((group, column))
            if slip:
                notes.append(f"{line.title}, {column_title(column)}: {slip}.")
            cells.append({"text": tables.shown_published(found, table), "note": len(notes) if slip else None})
        label = f"{CORPORA[table.corpus]}, {'quoted' if line.quoted else 'published'}"
        rows.append(_row("published", label, cells, "" if compared else "elsewhere"))
    if any(ours):
        cells = [{"text": tables.shown_ours(found, table)} for found in ours]
        rows.append(_row("ours" if rows else "ours alone", f"ours, {study.definition.corpus}", cells))
    if any(ours) and any(published) and compared:
        texts = [tables.shown_difference(own, other, table) for own, other in zip(ours, published, strict=True)]
        cells = [{"text": text.split()[0], "verdict": " ".join(text.split()[1:])} for text in texts]
        rows.append(_row("gap", "difference", cells))
    # Numbers of another corpus do not mix with ours when the table is sorted.
    others = [other.value if other and compared else None for other in published]
    means = [own.mean if own else other for own, other in zip(ours, others, strict=True)]
    return {"title": line.title, "rows": rows, "sort": json.dumps([line.title, None, *means])}


def _row(kind: str, label: str, cells: list[dict[str, Any]], style: str = "") -> dict[str, Any]:
    cells = [{"note": None, "verdict": None} | cell for cell in cells]
    return {"kind": kind, "label": label, "cells": cells, "class": style}


def _tested(study: Study, one: Comparison, of: int) -> dict[str, Any]:
    first, second = (study.definition.rows[row].title for row in (one.first, one.second))
    keys = [
        first, second, one.group, one.micro.observed, one.holm["micro"], one.macro.observed, one.holm["macro"],
        one.decisions.second_right - one.decisions.first_right, one.holm["decisions"],
    ]  # fmt: skip
    return {
        "first": first,
        "second": second,
        "group": one.group,
        "cells": comparisons.cells(one, of),
        "sort": json.dumps(keys),
    }


def _trained(study: Study, runs: Runs, settings: RowSettings, repository: str | None) -> list[dict[str, Any]]:
    rows = []
    for (name, label_set), own in runs.items():
        if not own or (name, label_set) not in settings:
            continue
        resting = settings[name, label_set]
        seconds = [second for run in own for second in run.epochs()]
        mean = statistics.fmean(seconds) if seconds else None
        total = own[0].train["parameters"]["total"]
        title = study.definition.rows[name].title
        commits = sorted({run.environment["commit"] or DASH for run in own})
        cells = [
            title, label_set, resting["model"], resting["recipe"], f"{total:,}", _span(own, "epochs_run"),
            _span(own, "best_epoch"), _ends(own), DASH if mean is None else f"{mean:.1f}",
            own[0].environment["device"], own[0].environment["torch"],
        ]  # fmt: skip
        last, best = (max(run.train[key] for run in own) for key in ("epochs_run", "best_epoch"))
        keys = [*cells[:4], total, last, best, cells[7], mean, *cells[9:], ", ".join(commits)]
        links = [
            {"id": commit, "url": commit_links.link(repository, commit), "command": commit_links.command(commit)}
            for commit in commits
        ]
        rows.append({"cells": cells, "commits": links, "sort": json.dumps(keys)})
    return rows


def _span(own: list[Run], key: str) -> str:
    """A number of each seed, from the lowest to the highest."""
    values = sorted({run.train[key] for run in own})
    return f"{values[0]}" if len(values) == 1 else f"{values[0]}{DASH}{values[-1]}"


def _ends(own: list[Run]) -> str:
    """Why the trainings ended, each reason with its seeds where these differ."""
    seeds: dict[str, list[int]] = {}
    for run in own:
        seeds.setdefault(run.train["stopped"], []).append(run.seed)
    many = len(seeds) > 1
    return "; ".join(f"{why} (seed {', '.join(map(str, of))})" if many else why for why, of in seeds.items())


def _settings(study: Study, settings: RowSettings) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """The settings that all share, and those of each row; of each of its label sets where these differ."""
    if not settings:
        return [], []
    flat = {where: _flat(own) for where, own in settings.items()}
    keys = list(dict.fromkeys(key for own in flat.values() for key in own if key not in ("seed", "label_set")))
    same = [key for key in keys if len({own.get(key) for own in flat.values()}) == 1]
    rows: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for (name, label_set), own in flat.items():
        rows.setdefault(name, {})[label_set] = [(key, own[key]) for key in keys if key in own and key not in same]
    differing = []
    for name, of in rows.items():
        title, first = study.definition.rows[name].title, next(iter(of.values()))
        if all(own == first for own in of.values()):
            differing.append({"title": title, "settings": first})
        else:
            differing += [{"title": f"{title}, {label_set}", "settings": own} for label_set, own in of.items()]
    return [(key, flat[next(iter(flat))][key]) for key in same], differing


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = json.dumps(value) if not isinstance(value, str) else value
    return found
