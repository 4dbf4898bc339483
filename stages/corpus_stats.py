"""Compute statistics of the corpus: documents, patients, words and labels of each split, and notes in two splits."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io
from medcode.dataset import statistics
from medcode.text.tokenized_notes import WORD_IDS, TokenizedNotes


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    label_set: config.LabelSet


@stage(Parameters, tokens=Path, split=Path, codes=Path, metrics=Path)
def main(params: Parameters, tokens: Path, split: Path, codes: Path, metrics: Path) -> None:
    documents, labels = (io.read_table(split / f"{name}.parquet").to_pandas() for name in ("documents", "labels"))
    summary = statistics.summarize(
        TokenizedNotes.read(tokens, WORD_IDS), documents, labels, io.read_table(codes).to_pandas()
    )
    io.write_metrics(metrics, {"corpus": params.corpus, "label_set": params.label_set, **summary})
    if any(summary["identical_notes"].values()):
        print(f"note: {statistics.identical_line(summary)}", file=sys.stderr)


if __name__ == "__main__":
    main()
