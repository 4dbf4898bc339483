"""Write the reference tables of codes: descriptions, synonyms, CCS categories, GEMs and the hierarchy."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes import ccs as ccs_tables
from medcode.codes import gem as gem_tables
from medcode.codes import hierarchy as hierarchies
from medcode.codes import reference, title_list
from medcode.codes import synonyms as synonym_tables


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    reference: config.Reference


@stage(
    Parameters, procedures=Path, official=Path, descriptions=Path, synonyms=Path, ccs=Path, gem=Path, hierarchy=Path,
    metrics=Path,
)  # fmt: skip
def main(
    params: Parameters,
    procedures: Path,
    official: Path,
    descriptions: Path,
    synonyms: Path,
    ccs: Path,
    gem: Path,
    hierarchy: Path,
    metrics: Path,
) -> None:
    files = official if params.reference.source == "official" else None
    table = reference.descriptions(files, title_list.read(Path(params.reference.titles)))
    terms = synonym_tables.table()
    io.write_table(descriptions, table)
    io.write_table(synonyms, terms)
    io.write_table(ccs, ccs_tables.table(files, procedures))
    io.write_table(gem, gem_tables.table(files))
    io.write_table(hierarchy, hierarchies.table(table))
    io.write_metrics(metrics, {"descriptions": reference.metrics(table), "synonyms": synonym_tables.metrics(terms)})


if __name__ == "__main__":
    main()
