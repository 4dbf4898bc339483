"""The progress of studies: trainings done of those that they show."""

from __future__ import annotations

from pathlib import Path

from medcode import io
from medcode.errors import UserError
from medcode.studies.definition import study
from medcode.studies.definition.study import Study

DONE = "environment.json"  # the last file that a training writes


def progress(one: Study) -> tuple[int, int]:
    """Return the number of trainings that have results, and the number that the study shows."""
    if one.counts_only:
        return int((one.root / one.name / "parameters.json").exists()), 1
    folders = [
        one.run_folder(name, label_set, seed)
        for name in one.definition.rows
        for label_set in one.label_sets(name)
        for seed in one.definition.seeds
    ]
    return sum((folder / DONE).exists() for folder in folders), len(folders)


def committed(one: Study) -> int:
    """Return the number of trainings in results.json, which is in git where their folders are not."""
    path = one.root / one.name / "results.json"
    results = io.read_json(path) if path.exists() else {}
    if results.get("corpus") != one.definition.corpus:
        return 0
    seeds = {(row["row"], row["label_set"]): row["seeds"] for row in results["rows"]}
    return sum(
        len(set(seeds.get((name, label_set), [])) & set(one.definition.seeds))
        for name in one.definition.rows
        for label_set in one.label_sets(name)
    )


def summary(one: Study) -> str:
    """Return the size and the progress of a study as a phrase."""
    definition = one.definition
    done, total = progress(one)
    if one.counts_only:
        return f"{len(definition.rows)} rows, no training"
    return (
        f"{len(definition.rows)} rows, seeds {definition.seeds}, {definition.corpus}: {done} of {total} trainings done"
    )


def listing(root: Path) -> str:
    """Return one line a study: name, trainings done, corpus, whether there is a report, title."""
    lines = []
    for name in study.names(root):
        try:
            one = study.load(root, name)
            done, total = progress(one)
            in_results = 0 if one.counts_only else committed(one)
            count = f"{in_results}/{total} (committed)" if in_results > done else f"{done}/{total}"
            report = "report" if (root / name / "report.html").exists() else ""
            lines.append((name, count, one.definition.corpus, report, one.definition.title))
        except UserError as error:
            lines.append((name, "wrong", "", "", str(error)))
    head = ("study", "trainings", "corpus", "", "title")
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in [head, *lines]
    )
