"""Writes the table, the figures, the results and the report page of a study."""

from __future__ import annotations

from common import stage

import subprocess
from pathlib import Path

from medcode import io
from medcode.studies import differences, drawn, figures, page, results, revisions, sections, table
from medcode.studies import study as studies


@stage(None, study=Path, out=Path)
def main(params: Path, study: Path, out: Path) -> None:
    chosen = studies.load(study.parent.parent, study.parent.name)
    runs = results.read(chosen)
    settings = results.settings(chosen)
    made, tested = sections.sections(chosen, runs), differences.comparisons(chosen, runs)
    shown = figures.draw(chosen, made, runs)
    repository = revisions.address(remote())
    with io.atomic_folder(out / "figures") as folder:
        for name, figure in shown.items():
            io.write_text(folder / f"{name}.svg", figure.svg)
            if figure.numbers:
                io.write_text(folder / f"{name}.csv", drawn.as_csv(figure.numbers))
    io.write_metrics(out / "results.json", results.record(chosen, runs, settings, repository))
    io.write_text(out / "table.csv", table.as_csv(chosen, made))
    io.write_text(out / "table.md", table.markdown(chosen, made, tested, runs))
    io.write_text(out / "report.html", page.render(chosen, made, tested, shown, runs, settings, repository))


def remote() -> str | None:
    """The remote of git called origin; None where there is none, or no git."""
    try:
        done = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
