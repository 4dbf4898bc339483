"""Measure the models of several rows of a study, with all their seeds, as one: by the mean of their probabilities."""

from __future__ import annotations

from shared import stage

from pathlib import Path

from medcode import config, io
from medcode.dataset import arrays
from medcode.evaluation import official, probability_files
from medcode.evaluation.ensemble import Ensemble
from medcode.evaluation.measurement import MEASURED
from medcode.studies.definition.study import PROBABILITIES


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    label_set: config.LabelSet
    evaluation: config.Evaluation


def names(text: str) -> list[str]:
    """Split names that are separated by commas."""
    return text.split(",")


@stage(Parameters, inputs=Path, codes=Path, runs=Path, rows=names, seeds=names, out=Path)
def main(
    params: Parameters, inputs: Path, codes: Path, runs: Path, rows: list[str], seeds: list[str], out: Path
) -> None:
    ensemble, data = Ensemble(), arrays.load(inputs, MEASURED)
    for row in rows:
        for seed in seeds:
            ensemble.add(probability_files.read(runs / row / seed / PROBABILITIES))
    gold_codes = official.gold_codes(codes, params.label_set)
    io.write_metrics(out, ensemble.metrics(params.evaluation, gold_codes, data))


if __name__ == "__main__":
    main()
