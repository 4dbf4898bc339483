"""Measures the trained model on test, with the threshold tuned on dev."""

from __future__ import annotations

from common import stage

from pathlib import Path

from medcode import inputs, io, model_folder
from medcode.config import Params
from medcode.evaluation.frequency import COLUMNS, frequency_table, linkage_table
from medcode.evaluation.summary import summarise
from medcode.evaluation.thresholds import tune_threshold
from medcode.training import distributed, reproducibility
from medcode.training.scoring import probabilities, score


@stage(inputs=Path, model=Path, metrics=Path, frequency=Path, linkage=Path)
def main(params: Params, model: Path, metrics: Path, frequency: Path, linkage: Path, **paths: Path) -> None:
    reproducibility.prepare(params.training.threads)
    trained = model_folder.load(model)
    network = trained.model.to(distributed.choose_device(params.training.device))
    data = inputs.load(paths["inputs"], ("dev", "test"), linked=True)
    options = params.evaluation
    scores = {
        name: score(
            network, data.tokens, split.offsets, trained.max_tokens, options.batch_size, params.training.precision
        )
        for name, split in data.splits.items()
    }
    measured, groups, linked = {}, [], []
    dev, test = data.splits["dev"], data.splits["test"]
    for head in trained.labels:
        tuning, coded = dev.has[head], test.has[head]  # a document is measured where it was coded in the head's system
        threshold = tune_threshold(
            dev.labels[head][tuning], probabilities(scores["dev"][head][tuning]), options.threshold_grid
        )
        gold, predicted = test.labels[head][coded], probabilities(scores["test"][head][coded])
        known = (data.train_counts(head), threshold, options)
        # Codes outside the fifty most frequent are left out on purpose; codes never seen in training are not.
        outside = test.outside[head][coded] if params.label_set == "full" else None
        measured[head] = summarise(gold, predicted, *known, outside)
        groups += frequency_table(gold, predicted, *known, head)
        linked += linkage_table(gold, predicted, *known, head, data.linked[head])
    io.write_metrics(metrics, measured)
    io.write_csv(frequency, groups, ["head", "group", *COLUMNS])
    io.write_csv(linkage, linked, ["head", "group", "linked", *COLUMNS])


if __name__ == "__main__":
    main()
