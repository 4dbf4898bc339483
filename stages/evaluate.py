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
from medcode.errors import UserError
from medcode.evaluation import decisions, frequency, label_losses, label_map, official, probability_files, seeds
from medcode.evaluation.ensemble import Ensemble
from medcode.evaluation.intervals import Intervals
from medcode.evaluation.measurement import measure
from medcode.evaluation.per_code import COLUMNS, CodeTable
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
def main(params: Parameters, model: Path, metrics: Path, **paths: Path) -> None:
    reproducibility.prepare(params.training.threads, params.training.kernels)
    data, opened, scored, measurements, ensemble = None, None, None, {}, Ensemble()
    code_table, intervals = CodeTable(), Intervals(params.evaluation)
    gold_codes = official.gold_codes(paths["codes"], params.label_set)
    for seed, folder in saved_model.of_all_seeds(model).items():
        trained = saved_model.load(folder)
        if data is None:
            subword = paths["subword"] if trained.tokenizer is not None else None
            measured = paths["split"] or "test"
            data = arrays.load(paths["inputs"], dict.fromkeys(("dev", measured)), linked=True, subword=subword)
            if trained.unit == "sentences":
                data = with_fragments(data, paths["sentences"], trained.max_tokens)
            data = replace(data, splits={"dev": data.splits["dev"], "test": data.splits[measured]})
            io.write_csv(paths["vectors"], label_map.of_model(trained, paths["ccs"]), label_map.COLUMNS)
            if params.label_set == "open" and paths["open"]:
                found = paths["open"], saved_model.digests(model), paths["notes"], gold_codes, data
                opened = OpenMeasurement.read(*found, params.evaluation.threshold_grid)
            if paths["reliability"] and measured == "test":  # dev is what a calibration is fitted on
                found = paths["calibration"], saved_model.digests(model), trained.model.heads
                scored = ScoreMeasurement.read(*found, params.evaluation, data)
        of_seed = measure(params.evaluation, params.training, gold_codes, trained, data)
        if opened is not None:
            opened.add_to(of_seed.metrics, of_seed.probabilities)
        if scored is not None:
            curves = scored.add_to(of_seed.metrics, of_seed.probabilities["test"], len(measurements))
        ensemble.add(of_seed.probabilities)
        for option, collected in (("per_code", code_table), ("intervals", intervals)):
            if paths[option]:
                collected.add(of_seed.predictions)
        if not (paths["predictions"] or paths["probabilities"]):  # they are large
            of_seed = replace(of_seed, predictions={}, probabilities={})
        measurements[str(seed)] = of_seed
    metrics_of = {seed: of_seed.metrics for seed, of_seed in measurements.items()}
    mean = seeds.mean(list(metrics_of.values()))
    io.write_metrics(metrics, mean)
    several = {"ensemble": ensemble.metrics(params.evaluation, gold_codes, data)} if len(metrics_of) > 1 else {}
    if several and opened is not None:
        opened.add_to(several["ensemble"], {name: of_split.values for name, of_split in ensemble.of_split.items()})
    if several and scored is not None:  # with several seeds the curves are of the mean, which predicts
        curves = scored.add_to(several["ensemble"], ensemble.of_split["test"].values, None)
    io.write_metrics(paths["seeds"], several | seeds.spread(metrics_of))
    if scored is not None:
        curves.write(paths["reliability"], paths["risk_coverage"])
    groups, linked, losses = (
        seeds.mean([getattr(of_seed, table) for of_seed in measurements.values()])
        for table in ("frequency", "linkage", "losses")
    )
    io.write_csv(paths["frequency"], groups, ["head", "group", *frequency.COLUMNS])
    io.write_csv(paths["linkage"], linked, ["head", "group", "linked", *frequency.COLUMNS])
    io.write_csv(paths["losses"], losses, label_losses.COLUMNS)
    if paths["per_code"]:
        rows = code_table.rows(restricted=not licenses.is_open(params.corpus))
        io.write_csv(paths["per_code"], rows, COLUMNS)
    if paths["intervals"]:
        io.write_metrics(paths["intervals"], intervals.values())
    for option in ("predictions", "probabilities"):
        if paths[option] and len(measurements) > 1:
            raise UserError(f"--{option}: those of one model, found a folder with several seeds")
    if paths["predictions"]:
        decided = {head: decisions.decide(of_head) for head, of_head in of_seed.predictions.items()}
        decisions.write(paths["predictions"], decided)
    if paths["probabilities"]:
        probability_files.write(paths["probabilities"], of_seed.probabilities)
    for line in (*zero_notes(mean), *threshold_notes(metrics_of)):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
