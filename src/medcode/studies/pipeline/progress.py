"""Progress of studies: finished trainings of those that they show."""

from __future__ import annotations

from pathlib import Path

from medcode import io
from medcode.errors import UserError
from medcode.studies.definition.study import Study, load, names

DONE = "environment.json"  # the last file that a training writes


def progress(study: Study) -> tuple[int, int]:
    """Return the number of trainings that have results, and the number that the study shows."""
    if study.counts_only:
        return int((study.root / study.name / "parameters.json").exists()), 1
    folders = [
        study.run_folder(name, label_set, seed)
        for name in study.definition.rows
        for label_set in study.label_sets(name)
        for seed in study.definition.seeds
    ]
    return sum((folder / DONE).exists() for folder in folders), len(folders)


def committed(study: Study) -> int:
    """Return the number of trainings in results.json, which is in git while their folders are not."""
    path = study.root / study.name / "results.json"
    results = io.read_json(path) if path.exists() else {}
    if results.get("corpus") != study.definition.corpus:
        return 0
    seeds = {(row["row"], row["label_set"]): row["seeds"] for row in results["rows"]}
    return sum(
        len(set(seeds.get((name, label_set), [])) & set(study.definition.seeds))
        for name in study.definition.rows
        for label_set in study.label_sets(name)
    )


def summary(study: Study) -> str:
    """Return the size and the progress of a study as a phrase."""
    definition = study.definition
    done, total = progress(study)
    if study.counts_only:
        return f"{len(definition.rows)} rows, no training"
    return (
        f"{len(definition.rows)} rows, seeds {definition.seeds}, {definition.corpus}: {done} of {total} trainings done"
    )


def listing(root: Path) -> str:
    """Return one line per study: name, finished trainings, corpus, whether there is a report, title."""
    lines = []
    for name in names(root):
        try:
            study = load(root, name)
            done, total = progress(study)
            in_results = 0 if study.counts_only else committed(study)
            count = f"{in_results}/{total} (committed)" if in_results > done else f"{done}/{total}"
            report = "report" if (root / name / "report.html").exists() else ""
            lines.append((name, count, study.definition.corpus, report, study.definition.title))
        except UserError as error:
            lines.append((name, "wrong", "", "", str(error)))
    head = ("study", "trainings", "corpus", "", "title")
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in [head, *lines]
    )
