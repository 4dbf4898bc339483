"""What a training leaves behind: thresholds and metrics, from the weights of the best epoch."""

from __future__ import annotations

from typing import Any

from medcode.config import Params
from medcode.evaluation.thresholds import tune_threshold
from medcode.inputs import Inputs
from medcode.models.base import Model, count_parameters
from medcode.training.loop import SCORING_BATCH, Result
from medcode.training.scoring import probabilities, score

THRESHOLD_GRID = 100  # of the threshold that the model carries; Edin et al. 2023


def tune_thresholds(model: Model, data: Inputs, max_tokens: int, precision: str) -> dict[str, float]:
    """The threshold of each head with the best micro F1 on the dev documents that were coded in its system."""
    dev = data.splits["dev"]
    logits = score(model, data.tokens, dev.offsets, max_tokens, SCORING_BATCH, precision)
    return {
        head: tune_threshold(dev.labels[head][dev.has[head]], probabilities(x[dev.has[head]]), THRESHOLD_GRID)
        for head, x in logits.items()
    }


def metrics(params: Params, model: Model, result: Result, thresholds: dict[str, float]) -> dict[str, Any]:
    """The content of metrics/train.json: what was trained, how it ended, and the dev metrics of the best epoch."""
    best = result.history[result.best_epoch - 1]
    return {
        "model": params.model,
        "recipe": params.recipe,
        "corpus": params.corpus,
        "label_set": params.label_set,
        **({} if params.encoder == "none" else {"encoder": params.encoder}),
        "parameters": count_parameters(model),
        "epochs_run": len(result.history),
        "best_epoch": result.best_epoch,
        "stopped": result.stopped,
        **{name: x for name, x in best.items() if name.startswith("train_loss")},
        "dev": {name: x for name, x in best.items() if not name.startswith(("epoch", "train_loss", "learning_rate"))},
        "thresholds": thresholds,
    }
