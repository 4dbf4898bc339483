"""Reads the raw tables of a corpus into the two standard tables, notes and codes."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import corpora, io
from medcode.config import Params


@stage(raw=Path, notes=Path, codes=Path, metrics=Path)
def main(params: Params, raw: Path, notes: Path, codes: Path, metrics: Path) -> None:
    extraction = corpora.read(params.corpus, raw, params.corpora.named(params.corpus))
    io.write_table(notes, extraction.notes)
    io.write_table(codes, extraction.codes)
    io.write_metrics(metrics, {"corpus": params.corpus, **extraction.counts})


if __name__ == "__main__":
    main()
