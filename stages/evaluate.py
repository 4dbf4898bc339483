"""Measures the trained model on test, with the threshold tuned on dev."""

from __future__ import annotations

from common import stage

import csv
from pathlib import Path

from medcode import inputs, io, model_folder
from medcode.config import Params
from medcode.evaluation.frequency import frequency_table
from medcode.evaluation.summary import summarise
from medcode.evaluation.thresholds import tune_threshold
from medcode.training import distributed, reproducibility
from medcode.training.scoring import probabilities, score


@stage(inputs=Path, model=Path, metrics=Path, frequency=Path, optional={"predictions": Path})
def main(params: Params, model: Path, metrics: Path, frequency: Path, predictions: Path | None, **paths: Path) -> None:
    reproducibility.prepare(params.training.threads)
    trained = model_folder.load(model)
    network = trained.model.to(distributed.choose_device(params.training.device))
    data = inputs.load(paths["inputs"], ("dev", "test"))
    options = params.evaluation
    scores = {
        name: score(
            network, data.tokens, split.offsets, trained.max_tokens, options.batch_size, params.training.precision
        )
        for name, split in data.splits.items()
    }
    measured, table, decided = {}, [], {}
    dev, test = data.splits["dev"], data.splits["test"]
    for head in trained.labels:
        tuning, coded = dev.has[head], test.has[head]  # a document is measured where it was coded in the head's system
        threshold = tune_threshold(
            dev.labels[head][tuning], probabilities(scores["dev"][head][tuning]), options.threshold_grid
        )
        gold, predicted = test.labels[head][coded], probabilities(scores["test"][head][coded])
        counts = data.train_counts(head)
        # Codes outside the fifty most frequent are left out on purpose; codes never seen in training are not.
        outside = test.outside[head][coded] if params.label_set == "full" else None
        measured[head] = summarise(gold, predicted, counts, threshold, options, outside)
        table += frequency_table(gold, predicted, counts, threshold, options, head)
        if predictions:
            from medcode.studies import predictions as kept

            names = [name for name, has in zip(test.documents, coded, strict=True) if has]
            codes = [f"{label['system']}:{label['code']}" for label in data.labels[head]]
            decided[head] = kept.decide(names, codes, gold, predicted, counts, options.fixed_threshold, threshold)
    if predictions:
        kept.write(predictions, decided)
    io.write_metrics(metrics, measured)
    with io.atomic_write(frequency, "w") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in table)


if __name__ == "__main__":
    main()
