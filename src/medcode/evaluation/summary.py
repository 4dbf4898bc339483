"""All metrics of one head on test, nested so that `dvc metrics diff` reads well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medcode.config import Evaluation
from medcode.evaluation import metric_table, metrics, official
from medcode.evaluation.measured_labels import measured
from medcode.evaluation.monitor import Gold, Scored
from medcode.evaluation.official import Task

ZERO_THRESHOLD = (
    "the threshold tuned on dev is 0, so every code is predicted for every note. No other threshold does better on "
    "dev: the model tells codes apart no better than by chance, or dev is very small. Train it longer, or enlarge dev"
)


def head_metrics(
    gold: Gold,
    scores: np.ndarray,
    train_counts: np.ndarray,
    tuned_threshold: float,
    options: Evaluation,
) -> dict[str, Any]:
    """Measure one head.

    Args:
        gold: 0/1, [documents, labels].
        scores: probabilities, float32 [documents, labels].
        train_counts: training documents of each label, [labels].
        tuned_threshold: the threshold tuned on dev.
        options: the `evaluation` section of the parameters. A k above the number of measured labels is left out.

    Returns:
        Sections auc, ranking, fixed, tuned and counts. A metric that is undefined is NaN. AUC is over all labels and
        documents, the others over those that `measured_labels.measured` returns, whose numbers are in counts.

    Raises:
        UserError: a score is not a probability.
    """
    whole = Scored(gold, scores, options.fixed_threshold, options.macro_f1)
    gold, scores = measured(whole.gold, scores, options)
    fixed = whole if options.labels == "all" else Scored(gold, scores, whole.threshold, options.macro_f1)
    tuned = Scored(fixed.gold, scores, tuned_threshold, options.macro_f1)
    return {
        "auc": metric_table.measure(whole, "auc", options.at),
        "ranking": metric_table.measure(fixed, "ranking", options.at),
        "fixed": _at_threshold(fixed, options),
        "tuned": _at_threshold(tuned, options),
        "counts": _counts(whole, fixed.gold.shape, train_counts),
    }


def official_metrics(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Measure one head as the organizers of shared tasks do.

    Args:
        tasks: as `official.tasks` returns them.

    Returns:
        The measures of all code systems together; with several systems, a section of the same for each.
    """
    sections = {
        name: {"threshold": float(task.decided.threshold)}
        | metric_table.measure(task, "official", [])
        | official.counts(task)
        for name, task in tasks.items()
    }
    return sections.pop("") | sections


def zero_notes(measured_heads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say in a line for each head that no code is predicted right at the fixed threshold, and what to do.

    Args:
        measured_heads: {head: result of `head_metrics`}.
    """
    lines = []
    for head, values in measured_heads.items():
        fixed, tuned = values["fixed"], values["tuned"]
        if fixed["f1"]["micro"] == 0:
            lines.append(
                f"note: {head}: micro F1 is 0 at the threshold {fixed['threshold']:g}, and {tuned['f1']['micro']:.3f} "
                f"at {tuned['threshold']:.2f}, tuned on dev. The model has hardly begun to learn: set recipe: auto or "
                "small, or more epochs or a higher learning rate in its recipe"
            )
    return lines


def threshold_notes(metrics_of: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say in a line for each seed and head that its tuned threshold is 0, so that every code is predicted.

    Args:
        metrics_of: {seed: {head: result of `head_metrics`, and of `official_metrics` under official}}.
    """
    lines = []
    for seed, heads in metrics_of.items():
        for head, values in heads.items():
            for section in ("tuned", "official"):
                if values.get(section, {}).get("threshold") == 0:
                    of_seed = f", seed {seed}" if len(metrics_of) > 1 else ""
                    lines.append(f"WARNING: {head}{of_seed}: {section}: {ZERO_THRESHOLD}")
    return lines


def _at_threshold(scored: Scored, options: Evaluation) -> dict[str, Any]:
    return {"threshold": float(scored.threshold)} | metric_table.measure(scored, "decisions", options.at)


def _counts(scored: Scored, measured_shape: tuple[int, int], train_counts: np.ndarray) -> dict[str, Any]:
    gold = scored.gold
    documents, labels = gold.shape
    return {
        "documents": documents,
        "documents_measured": measured_shape[0],
        "documents_without_gold": int(np.count_nonzero(np.diff(gold.indptr) == 0)),
        "labels": labels,
        "labels_measured": measured_shape[1],
        "labels_in_gold": len(np.unique(gold.indices)),
        "labels_with_auc": int(np.count_nonzero(~np.isnan(scored.areas))),
        "labels_not_in_training": int(np.count_nonzero(np.asarray(train_counts) == 0)),
        "gold": int(gold.nnz),
        "gold_per_document": float(metrics.ratio(gold.nnz, documents)),
    }
