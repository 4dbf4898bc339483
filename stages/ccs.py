"""Group the labels of a label set into categories of Clinical Classifications Software."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes import ccs as ccs_tables


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    ccs: config.Ccs


@stage(Parameters, label_set=str, labels=Path, ccs=Path, out=Path, metrics=Path)
def main(params: Parameters, label_set: str, labels: Path, ccs: Path, out: Path, metrics: Path) -> None:
    codes = io.read_table(labels, ["system", "code"]).to_pandas()
    table = io.read_table(ccs).to_pandas()
    grouped = ccs_tables.categories(codes, table, params.ccs.bare_numbers)
    counts = ccs_tables.metrics(codes, table, grouped.to_pandas())
    io.write_table(out, grouped)
    io.write_metrics(metrics, {"label_set": label_set, "bare_numbers": params.ccs.bare_numbers, **counts})


if __name__ == "__main__":
    main()
