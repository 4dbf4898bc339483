"""Evaluate the trained model on test, with the threshold tuned on dev; with --split dev, on dev.

With several seeds, write the mean of their metrics, and the metrics of the mean of their probabilities.
"""

from __future__ import annotations

from common import stage

import sys
from dataclasses import replace
from pathlib import Path

from medcode import config, io
from medcode.corpora import licenses
from medcode.dataset import arrays
from medcode.dataset.fragments import with_fragments
from medcode.engine import reproducibility
from medcode.evaluation import label_map, official
from medcode.evaluation.all_seeds import AllSeeds
from medcode.evaluation.measurement import measure
from medcode.evaluation.score_measures import ScoreMeasurement
from medcode.evaluation.summary import threshold_notes, zero_notes
from medcode.inference import saved_model
from medcode.open_codes.measurement import OpenMeasurement


class Parameters(config.Section):
    """The sections of params.yaml that this stage reads."""

    corpus: str
    label_set: config.LabelSet
    evaluation: config.Evaluation
    training: config.Scoring


@stage(
    Parameters,
    inputs=Path, sentences=Path, codes=Path, subword=Path, ccs=Path, model=Path,
    metrics=Path, seeds=Path, frequency=Path, linkage=Path, losses=Path, vectors=Path,
    optional={
        "open": Path, "notes": Path, "per_code": Path, "intervals": Path,
        "calibration": Path, "reliability": Path, "risk_coverage": Path,
        "predictions": Path, "probabilities": Path, "split": str,
    },
)  # fmt: skip
def main(params: Parameters, model: Path, **paths: Path) -> None:
    reproducibility.prepare(params.training.threads, params.training.kernels)
    data, results, options = None, None, params.evaluation
    gold_codes, digests = official.gold_codes(paths["codes"], params.label_set), saved_model.digests(model)
    for seed, folder in saved_model.of_all_seeds(model).items():
        trained = saved_model.load(folder)
        if data is None:
            data, opened, scored = load(trained, paths), None, None
            io.write_csv(paths["vectors"], label_map.of_model(trained, paths["ccs"]), label_map.COLUMNS)
            if params.label_set == "open" and paths["open"]:
                found = paths["open"], digests, paths["notes"], gold_codes, data, options.threshold_grid
                opened = OpenMeasurement.read(*found)
            if paths["reliability"] and paths["split"] != "dev":  # dev is what a calibration is fitted on
                scored = ScoreMeasurement.read(paths["calibration"], digests, trained.model.heads, options, data)
            results = AllSeeds(options, gold_codes, data, paths, opened, scored)
        results.add(seed, measure(options, params.training, gold_codes, trained, data))
    results.write(restricted=not licenses.is_open(params.corpus))
    for line in (*zero_notes(results.mean), *threshold_notes(results.metrics)):
        print(line, file=sys.stderr)


def load(trained: saved_model.TrainedModel, paths: dict[str, Path]) -> arrays.Inputs:
    """Return the documents that the model is measured on, as splits dev and test."""
    measured = paths["split"] or "test"
    subword = paths["subword"] if trained.tokenizer is not None else None
    data = arrays.load(paths["inputs"], dict.fromkeys(("dev", measured)), linked=True, subword=subword)
    if trained.unit == "sentences":
        data = with_fragments(data, paths["sentences"], trained.max_tokens)
    return replace(data, splits={"dev": data.splits["dev"], "test": data.splits[measured]})


if __name__ == "__main__":
    main()
