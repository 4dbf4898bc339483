"""Counts the parameters of each row of a study at MIMIC-III's sizes, with 50 and with all codes; nothing is trained."""

from __future__ import annotations

from common import stage

from argparse import Namespace
from pathlib import Path

from medcode import config, io
from medcode.cli import models
from medcode.config import Params
from medcode.studies import settling, study

ROWS_OF_VECTORS = 51_919  # of MIMIC-III's vocabulary, PAD and UNK included
LABELS = {"top50": 50, "full": 8_921}


@stage(base=Path, changes=Path, study=Path, out=Path)
def main(params: Params, base: Path, changes: Path, out: Path, **paths: Path) -> None:
    chosen = study.load(paths["study"].parent.parent, paths["study"].parent.name)
    raw = settling.for_corpus(config.read_yaml(base), changes, chosen.definition.corpus)
    counts = {}
    for row in chosen.definition.rows:
        counts[row] = {}
        for label_set, labels in LABELS.items():
            own = settling.settle(raw, chosen, row, label_set, chosen.definition.seeds[0])
            asked = Namespace(params=base, vocabulary=ROWS_OF_VECTORS, recipe=own["recipe"], encoder=None, changes=[])
            found = models.describe(own["model"], own, asked, {"icd": labels}, label_set)
            counts[row][label_set] = {"total": found["parameters"], "trainable": found["trainable"]}
    io.write_json(out, counts)


if __name__ == "__main__":
    main()
