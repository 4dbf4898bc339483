"""Measure the models of several rows of a study, with all their seeds, as one: by the mean of their probabilities.

With notes, spans, descriptions and synonyms also with codes that training never saw, as the label set open does.
"""

from __future__ import annotations

from shared import stage

import sys
from pathlib import Path

import pandas as pd

from medcode import config, io
from medcode.dataset import arrays
from medcode.dataset.split_names import SPLITS
from medcode.evaluation import official, probability_files
from medcode.evaluation.ensemble import Ensemble
from medcode.evaluation.measurement import MEASURED
from medcode.open_codes import build, fitting
from medcode.open_codes.measurement import OpenMeasurement
from medcode.studies.definition.study import PROBABILITIES


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    label_set: config.LabelSet
    open: config.Open
    evaluation: config.Evaluation


def names(text: str) -> list[str]:
    """Split names that are separated by commas."""
    return text.split(",")


@stage(
    Parameters,
    inputs=Path, codes=Path, runs=Path, rows=names, seeds=names, out=Path,
    optional={"notes": Path, "spans": Path, "descriptions": Path, "synonyms": Path},
)  # fmt: skip
def main(
    params: Parameters, inputs: Path, codes: Path, runs: Path, rows: list[str], seeds: list[str], out: Path,
    notes: Path | None, **tables: Path,
) -> None:  # fmt: skip
    ensemble, data = Ensemble(), arrays.load(inputs, MEASURED if notes is None else SPLITS)
    for row in rows:
        for seed in seeds:
            ensemble.add(probability_files.read(runs / row / seed / PROBABILITIES))
    gold_codes = official.gold_codes(codes, params.label_set)
    metrics = ensemble.metrics(params.evaluation, gold_codes, data)
    if notes is not None:
        frames = {name: io.read_table(path).to_pandas() for name, path in (tables | {"codes": codes}).items()}
        opened = open_measurement(params, ensemble, data, notes, frames, gold_codes)
        opened.add_to(metrics, {name: mean.values for name, mean in ensemble.of_split.items()})
    io.write_metrics(out, metrics)


def open_measurement(
    params: Parameters, ensemble: Ensemble, data: arrays.Inputs, notes: Path, tables: dict[str, pd.DataFrame],
    gold_codes: pd.DataFrame,
) -> OpenMeasurement:  # fmt: skip
    """Return a scorer of unseen codes that is fitted to the ensemble on dev, with what it is measured on."""
    texts = {name: build.texts_of(notes, split.documents) for name, split in data.splits.items()}
    retriever = build.build(params.open, data.labels["icd"], tables, texts["train"])
    fitted = fitting.fit(
        retriever, texts["dev"], ensemble.of_split["dev"].values["icd"], data.splits["dev"].targets["icd"],
        tables["codes"], params.evaluation.threshold_grid, (),
    )  # fmt: skip
    print("\n".join(fitted.lines()), file=sys.stderr)
    measured = {name: data.splits[name].documents for name in MEASURED}
    of_measured = {name: list(texts[name].values()) for name in MEASURED}
    grid = params.evaluation.threshold_grid
    return OpenMeasurement(fitted.scorer, gold_codes, data.labels["icd"], measured, of_measured, grid)


if __name__ == "__main__":
    main()
