"""Makes words of the notes."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import io
from medcode.config import Params
from medcode.text import tokens


@stage(notes=Path, out=Path, metrics=Path)
def main(params: Params, notes: Path, out: Path, metrics: Path) -> None:
    tokenised = tokens.tokenized(tokens.documents_of(notes), params.tokenize.rule)
    tokenised.write(out)
    io.write_metrics(metrics, {"rule": params.tokenize.rule, **tokenised.counts()})


if __name__ == "__main__":
    main()
