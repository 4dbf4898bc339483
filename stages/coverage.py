"""Count how many of the corpus's codes have a description, a CCS category and a GEM entry."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes.coverage import coverage


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    reference: config.Reference


@stage(Parameters, codes=Path, descriptions=Path, ccs=Path, gem=Path, metrics=Path)
def main(params: Parameters, codes: Path, descriptions: Path, ccs: Path, gem: Path, metrics: Path) -> None:
    tables = [io.read_table(path, ["system", "code"]).to_pandas() for path in (codes, descriptions, ccs)]
    mappings = io.read_table(gem, ["source_system", "source", "target"]).to_pandas()
    counts = coverage(*tables, mappings)
    io.write_metrics(metrics, {"corpus": params.corpus, "reference": params.reference.source, **counts})


if __name__ == "__main__":
    main()
