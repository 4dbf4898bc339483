"""Write the reference tables of codes: descriptions, synonyms, CCS categories, GEMs and the hierarchy."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.codes import ccs as ccs_tables
from medcode.codes import gem as gem_tables
from medcode.codes import hierarchy as hierarchies
from medcode.codes import own_lists, reference
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
    table = reference.descriptions(files, own_lists.read_titles(Path(params.reference.titles)))
    equivalents = gem_tables.table(files)
    terms = synonym_tables.table(own_lists.read_synonyms(Path(params.reference.synonyms)), (equivalents, table))
    io.write_table(descriptions, table)
    io.write_table(synonyms, terms)
    io.write_table(ccs, ccs_tables.table(files, procedures))
    io.write_table(gem, equivalents)
    io.write_table(hierarchy, hierarchies.table(table))
    io.write_metrics(metrics, {"descriptions": reference.metrics(table), "synonyms": synonym_tables.metrics(terms)})


if __name__ == "__main__":
    main()
