"""Paired gains: macro F1 of a second row minus that of a first row on a subset of the codes, seed by seed."""

from __future__ import annotations

from medcode.studies.definition.published import Codes, PublishedTable
from medcode.studies.definition.study import Study
from medcode.studies.definition.table import Table
from medcode.studies.results import run_results
from medcode.studies.results.run_results import Run, Runs, Summary


def pair(study: Study) -> tuple[str, str] | None:
    """Return the rows whose difference is shown next to published gains: the first pair that the study compares."""
    return tuple(study.definition.comparisons[0]) if study.definition.comparisons else None


def paired_gain(study: Study, runs: Runs, table: Table, group: str, codes: Codes) -> Summary | None:
    """Return the gain in macro F1 of the second row on a subset of the codes, seed by seed, in the unit of the table.

    None if a row has no such codes, or if the rows have different seeds.
    """
    sides: list[dict[int, float | None]] = []
    for row in pair(study) or ():
        if (position := run_results.label_set_and_head(table, group, study.label_sets(row))) is None:
            return None
        label_set, head = position
        sides.append({run.seed: _macro_f1(run, head, codes, table) for run in runs[row, label_set]})
    if not sides or sides[0].keys() != sides[1].keys():
        return None
    first, second = sides
    if not first or None in (*first.values(), *second.values()):
        return None
    return Summary(tuple(table.scale * (second[seed] - first[seed]) for seed in first))


def _macro_f1(run: Run, head: str, codes: Codes, table: Table) -> float | None:
    name = "frequency_f1.csv" if codes.linked is None else "linkage_f1.csv"
    linked = {None: None, True: "yes", False: "no"}[codes.linked]
    matching = (line for line in run.table(name, head) if (line["group"], line.get("linked")) == (codes.group, linked))
    return next((float(line[run_results.group_column(table)]) for line in matching), None)


def remark(study: Study, table: Table) -> str | None:
    """Return a note on how our gains are computed; None for a table without gains."""
    rows = pair(study)
    published = table.rows.values() if isinstance(table, PublishedTable) else ()
    if rows is None or not any(row.codes for row in published):
        return None
    first, second = (study.definition.rows[row].title for row in rows)
    return (
        f"Ours: macro F1 of {second} minus that of {first} on the same group of codes, seed by seed; the mean of these "
        "differences ± their sample standard deviation. What each has alone is in the figures' CSV files."
    )
