"""Write the table, the figures, the results and the report page of a study."""

from __future__ import annotations

from shared import stage

import subprocess
from pathlib import Path

from medcode import io
from medcode.studies.definition import study as studies
from medcode.studies.report import (
    commit_links,
    comparison_tables,
    evidence_table,
    figure_data,
    figures,
    page,
    tables,
)
from medcode.studies.results import comparisons, evidence_results, run_results


@stage(None, study=Path, out=Path)
def main(params: Path, study: Path, out: Path) -> None:
    loaded_study = studies.load(study.parent.parent, study.parent.name)
    runs, settings = run_results.read(loaded_study), run_results.settings(loaded_study)
    evidence = evidence_results.read(loaded_study)
    published_tables = comparison_tables.build(loaded_study, runs)
    tests = comparisons.compare_rows(loaded_study, runs)
    study_figures = figures.draw(loaded_study, published_tables, runs)
    repository = commit_links.address(remote())
    with io.atomic_folder(out / "figures") as folder:
        for name, figure in study_figures.items():
            io.write_text(folder / f"{name}.svg", figure.svg)
            if figure.numbers:
                io.write_text(folder / f"{name}.csv", figure_data.as_csv(figure.numbers))
    results = run_results.record(loaded_study, runs, settings, repository)
    if loaded_study.definition.evidence:
        results["evidence"] = evidence_results.record(evidence)
        io.write_text(out / "evidence.csv", evidence_table.as_csv(loaded_study, evidence))
    io.write_metrics(out / "results.json", results)
    io.write_text(out / "table.csv", tables.as_csv(loaded_study, published_tables))
    io.write_text(out / "table.md", tables.markdown(loaded_study, published_tables, tests, runs, evidence))
    report = page.render(loaded_study, published_tables, tests, study_figures, runs, settings, repository, evidence)
    io.write_text(out / "report.html", report)


def remote() -> str | None:
    """Return the URL of the git remote `origin`; None without one, or without git."""
    try:
        process = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


if __name__ == "__main__":
    main()
