"""Measures the trained model on test, with the threshold tuned on dev."""

from __future__ import annotations

from common import stage

from pathlib import Path
from typing import Any

from medcode import inputs, io, model_folder
from medcode.config import Params
from medcode.evaluation import frequency, label_losses, label_map
from medcode.evaluation.summary import summarise
from medcode.evaluation.thresholds import tune_threshold
from medcode.training import distributed, reproducibility
from medcode.training.scoring import probabilities, score


@stage(
    inputs=Path, subword=Path, ccs=Path, model=Path,
    metrics=Path, frequency=Path, linkage=Path, losses=Path, vectors=Path,
    optional={"predictions": Path},
)  # fmt: skip
def main(params: Params, model: Path, metrics: Path, **paths: Path) -> None:
    reproducibility.prepare(params.training.threads)
    trained = model_folder.load(model)
    network = trained.model.to(distributed.choose_device(params.training.device))
    subword = paths["subword"] if trained.pieces is not None else None
    data = inputs.load(paths["inputs"], ("dev", "test"), linked=True, subword=subword)
    options = params.evaluation
    scores = {
        name: score(
            network, data.tokens, split.offsets, trained.max_tokens, options.batch_size, params.training.precision
        )
        for name, split in data.splits.items()
    }
    measured, groups, linked, losses, decided = {}, [], [], [], {}
    dev, test = data.splits["dev"], data.splits["test"]
    for head, labels in trained.labels.items():
        tuning, coded = dev.has[head], test.has[head]  # a document is measured where it was coded in the head's system
        threshold = tune_threshold(
            dev.labels[head][tuning], probabilities(scores["dev"][head][tuning]), options.threshold_grid
        )
        gold, logits = test.labels[head][coded], scores["test"][head][coded]
        predicted, known = probabilities(logits), (data.train_counts(head), threshold, options)
        # Codes outside the fifty most frequent are left out on purpose; codes never seen in training are not.
        outside = test.outside[head][coded] if params.label_set == "full" else None
        measured[head] = summarise(gold, predicted, *known, outside)
        groups += frequency.frequency_table(gold, predicted, *known, head)
        linked += frequency.linkage_table(gold, predicted, *known, head, data.linked[head])
        losses += label_losses.loss_table(gold, logits, labels, head)
        names = [name for name, has in zip(test.documents, coded, strict=True) if has]
        decided[head] = (names, labels, gold, predicted, known[0], options.fixed_threshold, threshold)
    io.write_metrics(metrics, measured)
    io.write_csv(paths["frequency"], groups, ["head", "group", *frequency.COLUMNS])
    io.write_csv(paths["linkage"], linked, ["head", "group", "linked", *frequency.COLUMNS])
    io.write_csv(paths["losses"], losses, label_losses.COLUMNS)
    io.write_csv(paths["vectors"], mapped(trained, paths["ccs"]), label_map.COLUMNS)
    if paths["predictions"]:
        from medcode.studies import predictions

        predictions.write(paths["predictions"], {head: predictions.decide(*own) for head, own in decided.items()})


def mapped(trained: model_folder.TrainedModel, ccs: Path) -> list[dict[str, Any]]:
    """Codes and categories in a plane, where the model has vectors of both."""
    vectors = {head: own.detach().float().cpu().numpy() for head, own in trained.model.label_vectors().items()}
    if not {"icd", "ccs"} <= vectors.keys():
        return []
    category_of = {(row["system"], row["code"]): row["category"] for row in io.read_table(ccs).to_pylist()}
    labels = trained.labels
    return label_map.label_map(vectors["icd"], vectors["ccs"], labels["icd"], labels["ccs"], category_of)


if __name__ == "__main__":
    main()
