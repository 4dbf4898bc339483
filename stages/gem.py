"""Link the ICD-9 and ICD-10 labels of the joint label set by the General Equivalence Mappings."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes import gem as gem_tables


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    gem: config.Gem


@stage(Parameters, labels=Path, gem=Path, out=Path, metrics=Path)
def main(params: Parameters, labels: Path, gem: Path, out: Path, metrics: Path) -> None:
    codes = io.read_table(labels, ["system", "code"]).to_pandas()
    mappings = io.read_table(gem).to_pandas()
    is_icd9 = codes["system"].str.startswith("icd9")
    icd9, icd10 = (
        list(zip(edition["system"], edition["code"], strict=True)) for edition in (codes[is_icd9], codes[~is_icd9])
    )
    edges = gem_tables.edges(mappings, icd9, icd10, procedures=params.gem.procedures)
    counts = gem_tables.metrics(mappings, codes, edges.to_pandas(), procedures=params.gem.procedures)
    io.write_table(out, edges)
    io.write_metrics(metrics, counts)


if __name__ == "__main__":
    main()
