"""Tokenize the notes into words."""

from __future__ import annotations

from common import stage

import os
from pathlib import Path

from medcode import config, io
from medcode.text import tokens

LARGE_FILE = 20_000_000  # bytes; for smaller files, starting processes takes longer than the work
MAX_PROCESSES = 8  # processes; with more, reading the notes is the bottleneck


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    tokenize: config.Tokenize


@stage(Parameters, notes=Path, out=Path, metrics=Path)
def main(params: Parameters, notes: Path, out: Path, metrics: Path) -> None:
    is_large = notes.is_file() and notes.stat().st_size > LARGE_FILE
    processes = min(os.cpu_count() or 1, MAX_PROCESSES) if is_large else 1
    with io.spool(out) as spool:
        words = tokens.tokenized(tokens.documents_of(notes), params.tokenize.rule, processes, spool)
        words.write(out)
    io.write_metrics(metrics, {"rule": params.tokenize.rule, **words.counts()})


if __name__ == "__main__":
    main()
