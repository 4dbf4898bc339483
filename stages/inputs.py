"""Lays out the arrays that a model on words is trained and tested on."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.dataset import build
from medcode.text.tokens import Tokens


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    tokenize: config.Tokenize


@stage(
    Parameters,
    tokens=Path, vocabulary=Path, vectors=Path, split=Path, codes=Path, ccs=Path, gem=Path, out=Path,
)  # fmt: skip
def main(
    params: Parameters, tokens: Path, vocabulary: Path, vectors: Path, split: Path, out: Path, **tables: Path
) -> None:
    build.write(
        out,
        Tokens.read(tokens),
        io.read_lines(vocabulary),
        io.read_array(vectors),
        documents=io.read_table(split / "documents.parquet"),
        labels=io.read_table(split / "labels.parquet"),
        codes=io.read_table(tables["codes"]),
        ccs=io.read_table(tables["ccs"]),
        rule=params.tokenize.rule,
        links=io.read_table(tables["gem"]),
    )


if __name__ == "__main__":
    main()
