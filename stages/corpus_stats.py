"""Compute statistics of the corpus: documents, patients, words and labels of each split, and notes in two splits."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io
from medcode.dataset import statistics
from medcode.dataset.label_spaces import check_not_empty
from medcode.text.tokenized_notes import WORD_IDS, TokenizedNotes


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    label_set: config.LabelSet


@stage(Parameters, tokens=Path, split=Path, codes=Path, metrics=Path)
def main(params: Parameters, tokens: Path, split: Path, codes: Path, metrics: Path) -> None:
    tables = [io.read_table(path) for path in (split / "documents.parquet", split / "labels.parquet", codes)]
    check_not_empty(tables[1], tables[2])
    summary = statistics.summarize(TokenizedNotes.read(tokens, WORD_IDS), *(table.to_pandas() for table in tables))
    io.write_metrics(metrics, {"corpus": params.corpus, "label_set": params.label_set, **summary})
    if any(summary["identical_notes"].values()):
        print(f"note: {statistics.identical_line(summary)}", file=sys.stderr)


if __name__ == "__main__":
    main()
