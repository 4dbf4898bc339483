"""Write mean and deviation over the folds of a cross-validation, and what each fold chose."""

from __future__ import annotations

from shared import stage

from pathlib import Path

from medcode import io
from medcode.studies.results import folds as results


@stage(None, runs=Path, folds=int, metrics=Path)
def main(params: Path, runs: Path, folds: int, metrics: Path) -> None:
    summary = results.summarize([results.read(runs / str(number)) for number in range(folds)])
    io.write_metrics(metrics, summary)
    for line in results.lines(summary):
        print(line)


if __name__ == "__main__":
    main()
