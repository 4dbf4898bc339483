"""Reads the raw tables of a corpus into the two standard tables, notes and codes."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import corpora, io
from medcode.config import Params
from medcode.corpora import releases
from medcode.corpora.extraction import NOTES


@stage(raw=Path, notes=Path, codes=Path, metrics=Path)
def main(params: Params, raw: Path, notes: Path, codes: Path, metrics: Path) -> None:
    with io.spool(notes) as spool:
        extraction = corpora.read(params.corpus, raw, params.corpora.named(params.corpus), spool)
        io.write_batches(notes, extraction.notes.batches(), NOTES)
    io.write_table(codes, extraction.codes)
    release = releases.compare(params.corpus, extraction.counts)
    io.write_metrics(metrics, {"corpus": params.corpus, "release": release, **extraction.counts})
    if release and (line := releases.warning(release)):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
