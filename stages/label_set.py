"""Choose the labels and the documents of a label set."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io
from medcode.dataset import label_sets
from medcode.errors import UserError


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    split: config.Split


@stage(Parameters, label_set=str, splits=Path, codes=Path, descriptions=Path, out=Path, metrics=Path)
def main(
    params: Parameters, label_set: str, splits: Path, codes: Path, descriptions: Path, out: Path, metrics: Path
) -> None:
    tables = [io.read_table(path).to_pandas() for path in (splits, codes, descriptions)]
    try:
        result = label_sets.choose(label_set, *tables, params.split, params.corpus)
    except UserError as error:
        if label_set == "full":  # the data stages need it; the other label sets may be empty
            raise
        print(f"note: {label_set} is empty: {error}", file=sys.stderr)
        result = label_sets.empty(label_set, str(error))
    if label_set == "top50" and 0 < result.labels.num_rows < label_sets.TOP:
        print(f"note: there are {result.labels.num_rows} codes only, so top50 has no more labels", file=sys.stderr)
    with io.atomic_folder(out) as folder:
        io.write_table(folder / "documents.parquet", result.documents)
        io.write_table(folder / "labels.parquet", result.labels)
    io.write_metrics(metrics, result.metrics)


if __name__ == "__main__":
    main()
