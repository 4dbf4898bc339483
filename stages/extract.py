"""Convert the raw tables of a corpus to the two standard tables, notes and codes."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path
from typing import Any

from medcode import config, corpora, io
from medcode.corpora import releases
from medcode.corpora.extraction import NOTES


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    corpora: dict[str, dict[str, Any]]


@stage(Parameters, raw=Path, notes=Path, codes=Path, metrics=Path)
def main(params: Parameters, raw: Path, notes: Path, codes: Path, metrics: Path) -> None:
    block = params.corpora[params.corpus]
    options = config.build(config.corpora.find(params.corpus), block, "params.yaml", f"corpora.{params.corpus}")
    with io.spool(notes) as spool:
        extraction = corpora.read(params.corpus, raw, options, spool)
        io.write_batches(notes, extraction.notes.batches(), NOTES)
    io.write_table(codes, extraction.codes)
    release = releases.compare(params.corpus, extraction.counts)
    io.write_metrics(metrics, {"corpus": params.corpus, "release": release, **extraction.counts})
    if release and (line := releases.warning(release)):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
