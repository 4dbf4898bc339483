"""Divides the admissions into train, dev and test, and chooses the labels of a label set."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import io, splits
from medcode.config import Params


@stage(label_set=str, notes=Path, codes=Path, titles=Path, out=Path, metrics=Path)
def main(params: Params, label_set: str, notes: Path, codes: Path, titles: Path, out: Path, metrics: Path) -> None:
    admissions = io.read_table(notes, ["admission_id", "patient_id", "split"]).to_pandas()
    assigned = io.read_table(codes).to_pandas()
    split = splits.assign(admissions, assigned, params.split)
    chosen = splits.label_set(label_set, split, admissions, assigned, io.read_table(titles).to_pandas(), params.split)
    if label_set == "top50" and chosen.labels.num_rows < splits.TOP:
        print(f"note: train has {chosen.labels.num_rows} codes only, so top50 has no more labels", file=sys.stderr)
    with io.atomic_folder(out) as folder:
        io.write_table(folder / "documents.parquet", chosen.documents)
        io.write_table(folder / "labels.parquet", chosen.labels)
    io.write_metrics(metrics, chosen.metrics)


if __name__ == "__main__":
    main()
