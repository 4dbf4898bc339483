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
from medcode.studies import table as tables
from medcode.studies.figures import Drawn, Runs
from medcode.studies.published import CORPORA, METRICS
from medcode.studies.study import Study
from medcode.studies.table import DASH, Comparison, Line, Section

TEMPLATE = Path(__file__).with_name("page.html")


def render(
    study: Study,
    made: list[Section],
    tested: list[Comparison],
    drawn: Mapping[str, Drawn],
    runs: Runs,
    settings: Mapping[str, dict[str, Any]],
) -> str:
    """Writes the page: inline style, figures and the few lines that sort tables; nothing is loaded from elsewhere.

    Args:
        study: the study.
        made: its tables.
        tested: differences between rows.
        drawn: figures by name.
        runs: trainings by row and label set.
        settings: what each row was trained with.
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
        tables=[_table(study, section, group) for section in made for group in section.table.groups],
        figures=[{"svg": inline(f.svg), "title": f.title, "caption": f.caption} for f in drawn.values()],
        tested=[_tested(study, one) for one in tested],
        tests=tables.TESTS,
        trained=_trained(study, runs, settings),
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
    if tables.same_corpus(study, table):
        return None
    remark = (study.definition.small_remark or "").strip() if study.small else ""
    return (
        f"The published numbers, in grey, are of {CORPORA[table.corpus]}; ours are of {study.definition.corpus}. They "
        f"cannot be compared with one another, only rows of one kind among themselves. {remark}"
    ).strip()


def _table(study: Study, section: Section, group: str) -> dict[str, Any]:
    table, columns = section.table, section.table.groups[group].columns
    notes: list[str] = []
    systems = [_system(study, section, line, group, columns, notes) for line in section.lines]
    title = f"{table.number}: {table.title}"
    return {
        "title": f"{title}, {group}" if len(table.groups) > 1 else title,
        "columns": [METRICS.get(column, column) for column in columns],
        "systems": [system for system in systems if system["rows"]],
        "compared": any(row["kind"] == "gap" for system in systems for row in system["rows"]),
        "remark": table.remark,
        "notes": notes,
    }


def _system(
    study: Study, section: Section, line: Line, group: str, columns: list[str], notes: list[str]
) -> dict[str, Any]:
    table, compared = section.table, tables.same_corpus(study, section.table)
    published = [line.published.get((group, column)) for column in columns]
    ours = [line.ours.get((group, column)) for column in columns]
    rows = []
    if any(published):
        cells = []
        for column, found in zip(columns, published, strict=True):
            slip = line.slips.get((group, column))
            if slip:
                notes.append(f"{line.title}, {METRICS.get(column, column)}: {slip}.")
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


def _tested(study: Study, one: Comparison) -> dict[str, Any]:
    first, second = (study.definition.rows[row].title for row in (one.first, one.second))
    decisions = f"{one.decisions.first_right:,} : {one.decisions.second_right:,}"
    p = {name: tables.p_value(value) for name, value in one.holm.items()}
    cells = [
        tables.shown_gap(one.micro),
        p["micro"],
        tables.shown_gap(one.macro),
        p["macro"],
        decisions,
        p["decisions"],
    ]
    keys = [
        first, second, one.group, one.micro.observed, one.holm["micro"], one.macro.observed, one.holm["macro"],
        one.decisions.second_right - one.decisions.first_right, one.holm["decisions"],
    ]  # fmt: skip
    return {"first": first, "second": second, "group": one.group, "cells": cells, "sort": json.dumps(keys)}


def _trained(study: Study, runs: Runs, settings: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for (name, label_set), own in runs.items():
        if not own or name not in settings:
            continue
        seconds = [second for run in own for second in run.epochs()]
        epochs = sorted({run.train["epochs_run"] for run in own})
        mean = statistics.fmean(seconds) if seconds else None
        total = own[0].train["parameters"]["total"]
        title = study.definition.rows[name].title
        commits = ", ".join(sorted({run.environment["commit"] or DASH for run in own}))
        cells = [
            title, label_set, settings[name]["model"], settings[name]["recipe"], f"{total:,}",
            f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]}\N{EN DASH}{epochs[-1]}",
            DASH if mean is None else f"{mean:.1f}", own[0].environment["device"], own[0].environment["torch"], commits,
        ]  # fmt: skip
        keys = [*cells[:4], total, epochs[-1], mean, *cells[7:]]
        rows.append({"cells": cells, "sort": json.dumps(keys)})
    return rows


def _settings(
    study: Study, settings: Mapping[str, dict[str, Any]]
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    if not settings:
        return [], []
    flat = {name: _flat(own) for name, own in settings.items()}
    keys = list(dict.fromkeys(key for own in flat.values() for key in own if key not in ("seed", "label_set")))
    same = [key for key in keys if len({own.get(key) for own in flat.values()}) == 1]
    differing = [
        {
            "title": study.definition.rows[name].title,
            "settings": [(key, own[key]) for key in keys if key in own and key not in same],
        }
        for name, own in flat.items()
    ]
    return [(key, flat[next(iter(flat))][key]) for key in same], differing


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = json.dumps(value) if not isinstance(value, str) else value
    return found
