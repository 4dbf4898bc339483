"""Results of a training, from the weights of the best epoch: the saved model with its thresholds, and the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medcode import io
from medcode.config import ModelSettings, Run
from medcode.dataset.arrays import Inputs, Split
from medcode.encoders.subwords import SubwordTokenizer
from medcode.evaluation import seeds
from medcode.evaluation.thresholds import tune_threshold
from medcode.inference import saved_model
from medcode.inference.scoring import MeanProbabilities, probabilities, score_split
from medcode.models.base import Model, count_parameters
from medcode.training.state import Result
from medcode.training.validation import SCORING_BATCH

NOT_OF_DEV = ("epoch", "level", "train_", "learning_rate")  # in the learning curve
THRESHOLD_GRID = 100  # of the threshold that the model carries; Edin et al. 2023


def dev_probabilities(model: Model, data: Inputs, max_tokens: int, precision: str) -> dict[str, np.ndarray]:
    """Return the probabilities of each head's labels for the dev documents coded in its system, by head."""
    dev = data.splits["dev"]
    logits = score_split(model, data.tokens, dev, max_tokens, SCORING_BATCH, precision)
    return {head: probabilities(x[dev.targets[head].is_coded]) for head, x in logits.items()}


def tune_thresholds(on_dev: dict[str, np.ndarray], data: Inputs) -> dict[str, float]:
    """Choose the threshold of each head with the best micro F1 on dev.

    Args:
        on_dev: result of `dev_probabilities`.
        data: the gold labels.
    """
    targets = data.splits["dev"].targets
    return {head: tune_threshold(targets[head].coded().matrix, x, THRESHOLD_GRID) for head, x in on_dev.items()}


def save(
    run: Run,
    settings: ModelSettings,
    precision: str,
    folder: Path,
    trained: list[Model],
    data: Inputs,
    tokenizer: SubwordTokenizer | None,
) -> list[dict[str, float]]:
    """Write the models of all seeds, and the thresholds of the mean of their probabilities.

    The folder itself is the model of the first seed.

    Args:
        run: names of corpus, label set and model.
        settings: the model and its recipe.
        precision: of the scores on dev that the thresholds are tuned on.
        folder: models/trained.
        trained: the model of each seed.
        data: the training data.
        tokenizer: the subword tokenizer; None for models on words.

    Returns:
        The thresholds of each seed, by head.
    """
    max_tokens = settings.recipe.max_tokens
    thresholds, ensemble = [], MeanProbabilities()
    with io.atomic_folder(folder) as target:
        for seed, model in zip(run.all_seeds, trained, strict=True):
            on_dev = dev_probabilities(model, data, max_tokens, precision)
            thresholds.append(tune_thresholds(on_dev, data))
            ensemble.add(on_dev)
            labels = {head: data.labels[head] for head in model.heads}
            saved = saved_model.TrainedModel(
                run.model,
                model,
                data.vocabulary,
                labels,
                thresholds[-1],
                max_tokens,
                data.rule,
                run.label_set,
                tokenizer,
                settings.recipe.unit,
                _lengths(data.splits["dev"]),
            )
            provenance = {"corpus": run.corpus, "encoder": run.encoder, "recipe": settings.recipe_name, "seed": seed}
            saved_model.save(target if seed == run.seed else saved_model.of_seed(target, seed), saved, provenance)
        if ensemble.models > 1:
            saved_model.save_ensemble(target, tune_thresholds(ensemble.values, data))
    return thresholds


def _lengths(split: Split) -> tuple[int, int]:
    """Return the tokens of the shortest and of the longest document."""
    lengths = split.offsets[:, 1] - split.offsets[:, 0]
    return int(lengths.min()), int(lengths.max())


def metrics(
    run: Run, recipe: str, model: Model, results: list[Result], thresholds: list[dict[str, float]]
) -> dict[str, Any]:
    """Build the contents of metrics/train.json: the run, the number of epochs, and the dev metrics of the best epoch.

    With several seeds every number is a mean over them; their standard deviation and the numbers of each follow.

    Args:
        run: names of corpus, label set and model.
        recipe: its name.
        model: of any seed.
        results: of each seed.
        thresholds: of each seed, by head.
    """
    metrics_of_seeds = [_seed_metrics(*of_seed) for of_seed in zip(results, thresholds, strict=True)]
    return {
        "model": run.model,
        "recipe": recipe,
        "corpus": run.corpus,
        "label_set": run.label_set,
        **({} if run.encoder == "none" else {"encoder": run.encoder}),
        "parameters": count_parameters(model),
        **seeds.mean(metrics_of_seeds),
        **seeds.spread(dict(zip(map(str, run.all_seeds), metrics_of_seeds, strict=True))),
    }


def _seed_metrics(result: Result, thresholds: dict[str, float]) -> dict[str, Any]:
    best = result.history[result.best_epoch - 1]
    return {
        "epochs_run": len(result.history),
        "best_epoch": result.best_epoch,
        "stopped": result.stopped,
        **{name: x for name, x in best.items() if name.startswith("train_")},
        "dev": {name: x for name, x in best.items() if not name.startswith(NOT_OF_DEV)},
        "thresholds": thresholds,
    }
