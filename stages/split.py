"""Choose the split of each admission: train, dev or test."""

from __future__ import annotations

from common import stage

import sys
from pathlib import Path

from medcode import config, io
from medcode.dataset import published_splits, splits


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    split: config.Split


@stage(Parameters, notes=Path, codes=Path, published=Path, out=Path, metrics=Path)
def main(params: Parameters, notes: Path, codes: Path, published: Path, out: Path, metrics: Path) -> None:
    admissions = io.read_table(notes, ["admission_id", "patient_id", "split"]).to_pandas()
    assigned_codes = io.read_table(codes).to_pandas()
    lists, remarks = None, []
    if params.split.published != "none":
        lists, remarks = published_splits.read(published, params.split.published)
    result = splits.split_admissions(admissions, assigned_codes, params.split, lists)
    coverage, n_crossing = result.metrics.get("published"), result.metrics["patients_in_two_splits"]
    if coverage and (n_absent := coverage["not_in_corpus"]["all"]):
        listed = f"{coverage['listed']['all']:,} admissions that {coverage['name']} lists"
        remarks.append(f"note: {n_absent:,} of the {listed} are not in the corpus")
    if n_crossing:
        remarks.append(f"warning: {n_crossing:,} patients are in two splits by the lists put together: a leak")
    if params.split.train_on == "train_dev":
        train, dev = (result.metrics[name]["documents"] for name in ("train", "dev"))
        remarks.append(f"note: train and dev are divided anew into {train:,} admissions of train and {dev:,} of dev")
    for line in remarks:
        print(line, file=sys.stderr)
    io.write_table(out, splits.table(result))
    io.write_metrics(metrics, result.metrics)


if __name__ == "__main__":
    main()
