"""Convert the raw tables of a corpus to the standard tables: notes, codes and spans."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path
from typing import Any

from medcode import config, corpora, io
from medcode.corpora import releases
from medcode.corpora.notes import NOTES


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    corpora: dict[str, dict[str, Any]]


@stage(Parameters, raw=Path, notes=Path, codes=Path, spans=Path, metrics=Path)
def main(params: Parameters, raw: Path, notes: Path, codes: Path, spans: Path, metrics: Path) -> None:
    block = params.corpora[params.corpus]
    options = config.build(config.corpora.find(params.corpus), block, "params.yaml", f"corpora.{params.corpus}")
    with io.spool(notes) as spool:
        extraction = corpora.read(params.corpus, raw, options, spool)
        io.write_batches(notes, extraction.notes.batches(), NOTES)
    io.write_table(codes, extraction.codes)
    io.write_table(spans, extraction.spans)
    release = releases.compare(params.corpus, extraction.counts)
    io.write_metrics(metrics, {"corpus": params.corpus, "release": release, **extraction.counts})
    for line in (*extraction.remarks, *([releases.remark(release)] if release else [])):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
