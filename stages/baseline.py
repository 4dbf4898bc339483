"""Fit the linear baseline, and measure it on test; write an empty object where it is switched off."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import config, io
from medcode.config.learning import Threads
from medcode.dataset import arrays
from medcode.dataset.split_names import SPLITS
from medcode.engine import reproducibility
from medcode.evaluation import official
from medcode.training import baseline

MODEL, RECIPE = "linear", "quick"


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    label_set: config.LabelSet
    evaluation: config.Evaluation
    training: Threads


@stage(Parameters, model_settings=Path, inputs=Path, codes=Path, metrics=Path)
def main(params: Parameters, model_settings: Path, inputs: Path, codes: Path, metrics: Path) -> None:
    if not params.evaluation.baseline:
        io.write_metrics(metrics, {})
        return
    reproducibility.prepare(params.training.threads, "plain")
    settings = config.load_model(model_settings, MODEL, RECIPE, params.label_set)
    data = arrays.load(inputs, SPLITS, linked=True)
    machine = config.Scoring(device="cpu", precision="fp32", threads=params.training.threads)
    gold_codes = official.gold_codes(codes, params.label_set)
    measured = baseline.fit_and_measure(settings, data, params.label_set, params.evaluation, machine, gold_codes)
    io.write_metrics(metrics, measured)


if __name__ == "__main__":
    main()
