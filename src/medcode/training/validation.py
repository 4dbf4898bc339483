"""Evaluation on dev after every epoch: losses and monitored metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from medcode.config import Recipe, Training
from medcode.dataset.arrays import Split
from medcode.engine.device_data import DeviceData
from medcode.errors import UserError
from medcode.evaluation.monitor import dev_metrics, epoch_metrics
from medcode.inference.scoring import probabilities, score_documents
from medcode.models.base import Model
from medcode.training.losses import document_losses
from medcode.training.span_supervision import IN_SPANS, mean_attention_in_spans
from medcode.training.state import Row

SCORING_BATCH = 32


def evaluate(
    model: Model,
    dev: Split,
    data: DeviceData,
    loss_weights: dict[str, float] | None,
    recipe: Recipe,
    engine: Training,
    columns: dict[str, np.ndarray] | None = None,
) -> Row:
    """Return the losses on dev, and metrics over the documents that were coded in each head's system.

    Where training reads spans, also the mean attention of gold labels in theirs, `attention_in_spans`.

    Args:
        model: left in evaluation mode.
        dev: the split.
        data: its notes and gold labels.
        loss_weights: of the heads; None gives each weight 1.
        recipe: `monitor_heads` says whether each metric is that of the first head or a mean over all.
        engine: the precision.
        columns: the label whose logit each label takes, {head: int64 [Y]}: within a curriculum, the one that stands for
            the node above it; None or empty if each takes its own.

    Raises:
        UserError: the monitored metric cannot be computed on dev.
    """
    logits = score_documents(model, data.dev_notes, SCORING_BATCH, engine.precision, dev.fragments)
    logits |= {head: logits[head][:, labels] for head, labels in (columns or {}).items()}
    scores, documents = {head: torch.from_numpy(x) for head, x in logits.items()}, torch.arange(len(dev))
    targets = {head: labels.rows(documents) for head, labels in data.dev_targets.items()}
    is_coded = {head: labels.coded(documents) for head, labels in data.dev_targets.items()}
    losses = document_losses(scores, targets, is_coded, recipe, loss_weights, "dev_loss")
    heads = list(logits) if recipe.monitor_heads == "all" else list(logits)[:1]
    by_head = [_metrics(dev, head, logits[head], recipe.monitor) for head in heads]
    shared_names = [name for name in by_head[0] if all(name in metrics for metrics in by_head)]
    means = {name: float(np.mean([metrics[name] for metrics in by_head])) for name in shared_names}
    row = {name: values.mean().item() for name, values in losses.items()} | means
    if data.dev_spans:
        args = model, data.dev_notes, data.dev_spans, SCORING_BATCH, engine.precision
        if (in_spans := mean_attention_in_spans(*args)) is not None:
            row[IN_SPANS] = in_spans
    return row


def floor(train: Split, dev: Split, heads: Sequence[str], recipe: Recipe) -> float | None:
    """Return the monitored metric of base rates on dev: each label's share of the training documents as its score.

    Args:
        train: the training split.
        dev: the dev split.
        heads: of the model.
        recipe: names the metric.

    Returns:
        The metric; None for the loss, which moves from the first step.

    Raises:
        UserError: the monitored metric cannot be computed on dev, or is undefined on it.
    """
    if recipe.monitor == "loss":
        return None
    values = []
    for head in heads if recipe.monitor_heads == "all" else heads[:1]:
        rates = np.asarray(train.targets[head].coded().matrix.mean(axis=0), dtype=np.float32).reshape(1, -1)
        gold = dev.targets[head].coded().matrix
        scores = np.nan_to_num(rates).repeat(gold.shape[0], axis=0)
        values.append(dev_metrics(gold, scores, [recipe.monitor])[recipe.monitor])
        if np.isnan(values[-1]):
            raise UserError(
                f"recipes: monitor: {recipe.monitor} is undefined on dev, whose {gold.shape[0]} documents have "
                f"{gold.nnz} labels of the head {head}; set monitor: loss"
            )
    return float(np.mean(values))


def _metrics(dev: Split, head: str, logits: np.ndarray, monitor: str) -> Row:
    names = epoch_metrics(logits.shape[1])
    extra_names = [] if monitor == "loss" or monitor in names else [monitor]
    targets = dev.targets[head].coded()
    return dev_metrics(targets.matrix, probabilities(logits[dev.targets[head].is_coded]), names + extra_names)
