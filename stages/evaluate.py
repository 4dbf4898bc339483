"""Measures the trained model on test, with the threshold tuned on dev."""

from __future__ import annotations

from common import stage

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcode import inputs, io, model_folder
from medcode.config import Params
from medcode.evaluation import frequency, label_losses, label_map
from medcode.evaluation.summary import summarise
from medcode.evaluation.thresholds import tune_threshold
from medcode.training import distributed, reproducibility
from medcode.training.scoring import probabilities, score


@stage(inputs=Path, ccs=Path, model=Path, metrics=Path, frequency=Path, losses=Path, vectors=Path)
def main(params: Params, model: Path, metrics: Path, **paths: Path) -> None:
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
    measured, groups, losses = {}, [], []
    dev, test = data.splits["dev"], data.splits["test"]
    for head, labels in trained.labels.items():
        tuning, coded = dev.has[head], test.has[head]  # a document is measured where it was coded in the head's system
        threshold = tune_threshold(
            dev.labels[head][tuning], probabilities(scores["dev"][head][tuning]), options.threshold_grid
        )
        gold, logits = test.labels[head][coded], scores["test"][head][coded]
        predicted, counts = probabilities(logits), data.train_counts(head)
        # Codes outside the fifty most frequent are left out on purpose; codes never seen in training are not.
        outside = test.outside[head][coded] if params.label_set == "full" else None
        measured[head] = summarise(gold, predicted, counts, threshold, options, outside)
        groups += frequency.frequency_table(gold, predicted, counts, threshold, options, head)
        losses += label_losses.loss_table(gold, logits, labels, head)
    io.write_metrics(metrics, measured)
    write(paths["frequency"], list(groups[0]), groups)
    write(paths["losses"], label_losses.COLUMNS, losses)
    write(paths["vectors"], label_map.COLUMNS, mapped(trained, paths["ccs"]))


def mapped(trained: model_folder.TrainedModel, ccs: Path) -> list[dict[str, Any]]:
    """Codes and categories in a plane, where the model has vectors of both."""
    vectors = {head: own.detach().float().cpu().numpy() for head, own in trained.model.label_vectors().items()}
    if not {"icd", "ccs"} <= vectors.keys():
        return []
    category_of = {(row["system"], row["code"]): row["category"] for row in io.read_table(ccs).to_pylist()}
    labels = trained.labels
    return label_map.label_map(vectors["icd"], vectors["ccs"], labels["icd"], labels["ccs"], category_of)


def write(path: Path, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    with io.atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
