"""Measure the evidence of the trained model beside the spans of annotators; nothing for a corpus without spans."""

from __future__ import annotations

from common import stage

from pathlib import Path
from typing import Any

from medcode import config, io
from medcode.evidence import results


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    explain: config.Explain
    training: config.Scoring


@stage(Parameters, inputs=Path, sentences=Path, subword=Path, model=Path, metrics=Path, optional={"table": Path})
def main(params: Parameters, model: Path, metrics: Path, table: Path | None, **paths: Path) -> None:
    found: dict[str, Any] = {}
    has_spans = not io.is_empty(paths["sentences"])
    if params.explain.enabled is True or (params.explain.enabled == "auto" and has_spans):
        from medcode.engine import reproducibility  # torch takes seconds to load
        from medcode.evidence.of_model import of_model

        reproducibility.prepare(params.training.threads, params.training.kernels)
        found = of_model(model, paths, params.explain, params.training, has_spans)
    io.write_metrics(metrics, found)
    if table is not None:
        io.write_csv(table, results.rows(found), results.COLUMNS)


if __name__ == "__main__":
    main()
