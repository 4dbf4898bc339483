"""Writes the table, the figures, the results and the report page of a study."""

from __future__ import annotations

from shared import stage

import subprocess
from pathlib import Path

from medcode import io
from medcode.studies.definition import study as studies
from medcode.studies.report import commit_links, comparison_tables, figure_data, figures, page, tables
from medcode.studies.results import comparisons, run_results


@stage(None, study=Path, out=Path)
def main(params: Path, study: Path, out: Path) -> None:
    chosen = studies.load(study.parent.parent, study.parent.name)
    runs, settings = run_results.read(chosen), run_results.settings(chosen)
    published_tables = comparison_tables.build(chosen, runs)
    tests = comparisons.compare_rows(chosen, runs)
    study_figures = figures.draw(chosen, published_tables, runs)
    repository = commit_links.address(remote())
    with io.atomic_folder(out / "figures") as folder:
        for name, figure in study_figures.items():
            io.write_text(folder / f"{name}.svg", figure.svg)
            if figure.numbers:
                io.write_text(folder / f"{name}.csv", figure_data.as_csv(figure.numbers))
    io.write_metrics(out / "results.json", run_results.record(chosen, runs, settings, repository))
    io.write_text(out / "table.csv", tables.as_csv(chosen, published_tables))
    io.write_text(out / "table.md", tables.markdown(chosen, published_tables, tests, runs))
    report = page.render(chosen, published_tables, tests, study_figures, runs, settings, repository)
    io.write_text(out / "report.html", report)


def remote() -> str | None:
    """Returns the remote of git called origin; None where there is none, or no git."""
    try:
        done = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
