"""Writes the table, the figures, the results and the report page of a study."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import io
from medcode.config import Params
from medcode.studies import figures, page, results, table
from medcode.studies import study as studies


@stage(study=Path, out=Path)
def main(params: Params, study: Path, out: Path) -> None:
    chosen = studies.load(study.parent.parent, study.parent.name)
    runs = results.read(chosen)
    settings = results.settings(chosen)
    made, tested = table.sections(chosen, runs), table.comparisons(chosen, runs)
    drawn = figures.draw(chosen, made, runs)
    with io.atomic_folder(out / "figures") as folder:
        for name, figure in drawn.items():
            io.write_text(folder / f"{name}.svg", figure.svg)
    io.write_metrics(out / "results.json", results.record(chosen, runs, settings))
    io.write_text(out / "table.csv", table.as_csv(chosen, made))
    io.write_text(out / "table.md", table.markdown(chosen, made, tested))
    io.write_text(out / "report.html", page.render(chosen, made, tested, drawn, runs, settings))


if __name__ == "__main__":
    main()
