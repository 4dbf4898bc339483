"""Build the arrays that a model on words is trained and tested on."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.dataset import arrays, build
from medcode.dataset.label_spaces import label_spaces
from medcode.text.tokens import TokenizedWords


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
    documents, labels = (io.read_table(split / f"{name}.parquet") for name in ("documents", "labels"))
    spaces = label_spaces(labels, io.read_table(tables["codes"]), io.read_table(tables["ccs"]), documents)
    data = build.lay_out(
        TokenizedWords.read(tokens),
        io.read_lines(vocabulary),
        io.read_array(vectors),
        documents,
        spaces,
        rule=params.tokenize.rule,
        links=io.read_table(tables["gem"]),
    )
    arrays.write(out, data)


if __name__ == "__main__":
    main()
